"""PyTorch's training step of the model that skipv1-benchmark-training-step times (LLaMA style, MHA, float, CPU), to run beside it:
   skipv1-benchmark-training-step && python3 tests/benchmark/training_step.py [--compile]"""
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

D, HEADS, LAYERS, FFN, VOCAB, T, B, REPEATS = 256, 8, 6, 688, 256, 256, 8, 7


def turned(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(D, 1e-5), nn.RMSNorm(D, 1e-5)
        self.q, self.k, self.v, self.o = (nn.Linear(D, D, bias=False) for _ in range(4))
        self.gate, self.up, self.down = nn.Linear(D, FFN, bias=False), nn.Linear(D, FFN, bias=False), nn.Linear(FFN, D, bias=False)

    def forward(self, x, cos, sin):
        h = self.norm1(x)
        q, k, v = (m(h).view(B, T, HEADS, -1).transpose(1, 2) for m in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(turned(q, cos, sin), turned(k, cos, sin), v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(B, T, D))
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.norm = nn.Embedding(VOCAB, D), nn.RMSNorm(D, 1e-5)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        width = D // HEADS
        angle = torch.outer(torch.arange(T), 10000.0 ** (-torch.arange(0, width, 2) / width))
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, tokens, targets):
        x = self.tokens(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return F.cross_entropy((self.norm(x) @ self.tokens.weight.T).flatten(0, 1), targets.flatten())


torch.manual_seed(1)
model = Model()
loss_of = torch.compile(model) if "--compile" in sys.argv[1:] else model
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True)
tokens, targets = torch.randint(VOCAB, (2, B, T))
times = []
for _ in range(REPEATS + 2):
    start = time.perf_counter()
    optimizer.zero_grad()
    loss_of(tokens, targets).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    times.append(time.perf_counter() - start)
seconds = statistics.median(times[2:])
print(f"PyTorch {torch.__version__}{', compiled' if loss_of is not model else ''}, {torch.get_num_threads()} threads: "
      f"{1e3 * seconds:.1f} ms per step, {B * T / seconds:.0f} tokens/s")
