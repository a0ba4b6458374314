"""PyTorch's decoding beside ours, token by token from a cache of fixed size, logits and the likeliest token included.
On a card the models of skipv1-benchmark-gpu-one-kernel, in bfloat16, each step replayed as one graph; on a CPU that of
skipv1-benchmark-decoding, in float:
   skipv1-benchmark-gpu-one-kernel && python3 tests/benchmark/decoding.py [--compile]
   skipv1-benchmark-decoding && python3 tests/benchmark/decoding.py --device cpu [--compile]
--compile: the step goes through torch.compile first. Medians of 20."""
import argparse
import statistics
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--device", choices=["cuda", "cpu"], help="default: a card where there is one")
parser.add_argument("--compile", action="store_true", help="by torch.compile")
parser.add_argument("--repeats", type=int, default=20)
arguments = parser.parse_args()

import torch  # after --help, which does not need it
import torch.nn.functional as F

device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
dtype = torch.bfloat16 if device == "cuda" else torch.float32
# name, style, width, layers, heads, feed-forward, vocabulary, (sequences, context) ...
models = {
    "cuda": [
        ("GPT-2 124M", "gpt2", 768, 12, 12, 3072, 50257, [(1, 1024), (8, 1024)]),
        ("LLaMA 1.3B", "llama", 2048, 24, 32, 5464, 32000, [(1, 2048), (1, 8192), (8, 2048), (8, 8192)]),
    ],
    "cpu": [("LLaMA, width 1024", "llama", 1024, 12, 16, 2816, 32000, [(1, 128), (1, 2048)])],
}[device]


def drawn(*shape):
    return torch.randn(*shape, device=device, dtype=dtype) * 0.02


class Model:
    def __init__(self, style, width, layers, heads, inner, vocab, batch, context):
        self.style, self.heads, self.context = style, heads, context
        ones = torch.ones(width, device=device, dtype=dtype)
        self.tokens, self.norm = drawn(vocab, width), ones
        self.head = self.tokens if style == "gpt2" else drawn(vocab, width)
        self.positions = drawn(context, width) if style == "gpt2" else None
        self.layers = []
        for _ in range(layers):
            up = [drawn(inner, width) for _ in range(1 if style == "gpt2" else 2)]
            bias = [drawn(n) for n in (3 * width, width, inner, width)] if style == "gpt2" else [None] * 4
            cache = [drawn(batch, heads, context, width // heads) for _ in range(2)]
            self.layers.append((ones, drawn(3 * width, width), drawn(width, width), ones, up, drawn(width, inner), bias, *cache))
        half = width // heads // 2
        angle = (context - 1) * 10000.0 ** (-torch.arange(half, device=device) / half)
        self.cos, self.sin = angle.cos().to(dtype), angle.sin().to(dtype)

    def normed(self, x, weight):
        size = x.shape[-1:]
        return F.layer_norm(x, size, weight, weight) if self.style == "gpt2" else F.rms_norm(x, size, weight, 1e-5)

    def turned(self, x):
        if self.style == "gpt2":
            return x
        a, b = x.chunk(2, -1)
        return torch.cat([a * self.cos - b * self.sin, b * self.cos + a * self.sin], -1)

    def step(self, tokens):
        """The newest position is the cache's last."""
        x = self.tokens[tokens]
        if self.positions is not None:
            x = x + self.positions[-1]
        for norm1, qkv, o, norm2, up, down, bias, keys, values in self.layers:
            q, k, v = F.linear(self.normed(x, norm1), qkv, bias[0]).unflatten(-1, (3, self.heads, -1)).unbind(-3)
            keys[:, :, -1], values[:, :, -1] = self.turned(k), v
            y = F.scaled_dot_product_attention(self.turned(q).unsqueeze(2), keys, values)
            x = x + F.linear(y.flatten(1), o, bias[1])
            h = self.normed(x, norm2)
            gate = F.linear(h, up[0], bias[2])
            h = F.gelu(gate, approximate="tanh") if self.style == "gpt2" else F.silu(gate) * F.linear(h, up[1])
            x = x + F.linear(h, down, bias[3])
        return F.linear(self.normed(x, self.norm), self.head).argmax(-1)


def graph_of(step, tokens):
    """One replay: the step, whose token is the next one's."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            tokens.copy_(step(tokens))
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        tokens.copy_(step(tokens))
    return graph.replay


def seconds(run, steps):
    start = time.perf_counter()
    for _ in range(steps):
        run()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps


where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
print(f"{where}, PyTorch {torch.__version__}{', compiled' if arguments.compile else ''}")
torch.manual_seed(1)
with torch.inference_mode():
    for name, style, *sizes, rows in models:
        for batch, context in rows:
            torch.compiler.reset()
            model = Model(style, *sizes, batch, context)
            step = torch.compile(model.step) if arguments.compile else model.step
            tokens = torch.full((batch,), 5, device=device)
            run = graph_of(step, tokens) if device == "cuda" else lambda: tokens.copy_(step(tokens))
            run()
            time_of_step = statistics.median(seconds(run, 8 if device == "cuda" else 1) for _ in range(arguments.repeats))
            print(f"{name:20} {batch:2} x {context:5}: {1e6 * time_of_step:9.1f} us per step, {batch / time_of_step:7.1f} tokens/s",
                  flush=True)
            del model, step, run
