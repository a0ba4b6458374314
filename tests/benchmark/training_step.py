"""PyTorch's training step beside ours: forward, backward, clipping, AdamW.
On a CPU that of skipv1-benchmark-training-step (LLaMA style, float), on a card GPT-2 124M of skipv1-benchmark-gpu, 64 sequences of
1024 tokens, bfloat16 by autocast with float32 weights; in SkipV1 each later layer concatenates its values with layer 0's:
   skipv1-benchmark-training-step && python3 tests/benchmark/training_step.py --device cpu [--compile]
   skipv1-benchmark-gpu --only step && python3 tests/benchmark/training_step.py --compile [--variant skipv1]
Medians of --repeats."""
import argparse
import contextlib
import statistics
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--device", choices=["cuda", "cpu"], help="default: a card where there is one")
parser.add_argument("--variant", choices=["mha", "skipv1"], default="mha")
parser.add_argument("--compile", action="store_true", help="by torch.compile")
parser.add_argument("--repeats", type=int, default=7)
arguments = parser.parse_args()

import torch  # after --help, which does not need it
import torch.nn.functional as F
from torch import nn

device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
# style, width, heads, layers, feed-forward, vocabulary, tokens of a sequence, sequences
STYLE, D, HEADS, LAYERS, FFN, VOCAB, T, B = {"cuda": ("gpt2", 768, 12, 12, 3072, 50304, 1024, 64),
                                             "cpu": ("llama", 256, 8, 6, 688, 256, 256, 8)}[device]
GPT2 = STYLE == "gpt2"


def turned(x, cos, sin):
    if GPT2:
        return x
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def norm():
    return nn.LayerNorm(D, 1e-5) if GPT2 else nn.RMSNorm(D, 1e-5)


class Block(nn.Module):
    def __init__(self, owned):
        super().__init__()
        width = D // HEADS
        self.owned, self.norm1, self.norm2 = owned, norm(), norm()
        self.q, self.k, self.o = (nn.Linear(D, D, bias=GPT2) for _ in range(3))
        self.v = nn.Linear(D, owned * width, bias=GPT2)
        self.up, self.down = nn.Linear(D, FFN, bias=GPT2), nn.Linear(FFN, D, bias=GPT2)
        self.gate = None if GPT2 else nn.Linear(D, FFN, bias=False)

    def forward(self, x, cos, sin, first):
        h = self.norm1(x)
        q, k, v = (m(h).unflatten(-1, (-1, D // HEADS)).transpose(1, 2) for m in (self.q, self.k, self.v))
        values = v if self.owned == HEADS else torch.cat([v, first[:, self.owned:]], 1)
        y = F.scaled_dot_product_attention(turned(q, cos, sin), turned(k, cos, sin), values, is_causal=True)
        x = x + self.o(y.transpose(1, 2).flatten(2))
        h = self.norm2(x)
        h = F.gelu(self.up(h), approximate="tanh") if GPT2 else F.silu(self.gate(h)) * self.up(h)
        return x + self.down(h), v if first is None else first


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.norm = nn.Embedding(VOCAB, D), norm()
        self.positions = nn.Embedding(T, D) if GPT2 else None
        later = HEADS // 2 if arguments.variant == "skipv1" else HEADS
        self.blocks = nn.ModuleList(Block(later if layer else HEADS) for layer in range(LAYERS))
        width = D // HEADS
        angle = torch.outer(torch.arange(T), 10000.0 ** (-torch.arange(0, width, 2) / width))
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, tokens, targets):
        x, first = self.tokens(tokens), None
        if GPT2:
            x = x + self.positions.weight
        for block in self.blocks:
            x, first = block(x, self.cos, self.sin, first)
        return F.cross_entropy(F.linear(self.norm(x), self.tokens.weight).flatten(0, 1), targets.flatten())


torch.manual_seed(1)
model = Model().to(device)
loss_of = torch.compile(model) if arguments.compile else model
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True)
tokens, targets = torch.randint(VOCAB, (2, B, T), device=device)
times = []
for _ in range(arguments.repeats + 2):
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    optimizer.zero_grad()
    with torch.autocast("cuda", torch.bfloat16) if device == "cuda" else contextlib.nullcontext():
        loss = loss_of(tokens, targets)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if device == "cuda":
        torch.cuda.synchronize()
    times.append(time.perf_counter() - start)
seconds = statistics.median(times[2:])
where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
print(f"PyTorch {torch.__version__}{', compiled' if arguments.compile else ''}, {where}{', SkipV1' if arguments.variant == 'skipv1' else ''}: "
      f"{1e3 * seconds:.1f} ms per step, {B * T / seconds:.0f} tokens/s")
