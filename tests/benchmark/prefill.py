"""PyTorch's time to a prompt's first new token beside ours, the prompt whole and in chunks of 2,048, keys and values written to a
cache with room for 64 more. On a card, the models of skipv1-benchmark-gpu, in bfloat16:
   skipv1-benchmark-gpu --only prefill && python3 tests/benchmark/prefill.py [--plain]
All but attention goes through torch.compile; --plain: nothing does. Attention is scaled_dot_product_attention, by flash and, for a
whole prompt, by cuDNN; for chunks its mask is aligned at the lower right. "calls": as a program makes them, until the token is on the
host; "graph": the same pass replayed as one graph. Medians of 20."""
import argparse
import statistics
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--plain", action="store_true", help="without torch.compile")
parser.add_argument("--repeats", type=int, default=20)
arguments = parser.parse_args()

import torch  # after --help, which does not need it
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right

CHUNK = 2048
# name, style, width, layers, heads, feed-forward, vocabulary, prompts
models = [
    ("GPT-2 124M", "gpt2", 768, 12, 12, 3072, 50304, [256, 1024]),
    ("LLaMA 1.3B", "llama", 2048, 24, 32, 5464, 32000, [2048, 8192, 32768]),
]


def drawn(*shape):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16) * 0.02


def compiled(function):
    return function if arguments.plain else torch.compile(function, dynamic=False)


def normed(x, weight, gpt2):
    size = x.shape[-1:]
    return F.layer_norm(x, size, weight, weight) if gpt2 else F.rms_norm(x, size, weight, 1e-5)


@compiled
def before_attention(x, norm, qkv, bias, cos, sin, keys, values, heads):
    """Queries (1, H, T, d); keys and values go to their places in the cache."""
    q, k, v = F.linear(normed(x, norm, bias is not None), qkv, bias).view(1, -1, 3, heads, x.shape[-1] // heads).unbind(2)
    if cos is not None:
        turned = lambda a, b: torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
        q, k = turned(*q.chunk(2, -1)), turned(*k.chunk(2, -1))
    keys.copy_(k.transpose(1, 2))
    values.copy_(v.transpose(1, 2))
    return q.transpose(1, 2)


@compiled
def after_attention(x, y, o, norm, up, gate, down, bias):
    gpt2 = gate is None
    x = x + F.linear(y.transpose(1, 2).flatten(2), o, bias[0] if gpt2 else None)
    h = F.linear(normed(x, norm, gpt2), up, bias[1] if gpt2 else None)
    h = F.gelu(h, approximate="tanh") if gpt2 else F.silu(F.linear(normed(x, norm, gpt2), gate)) * h
    return x + F.linear(h, down, bias[2] if gpt2 else None)


class Model:
    def __init__(self, style, width, layers, heads, inner, vocab, positions):
        gpt2 = style == "gpt2"
        self.heads, self.gpt2, self.norm = heads, gpt2, torch.ones(width, device="cuda", dtype=torch.bfloat16)
        self.tokens = drawn(vocab, width)
        self.head = self.tokens if gpt2 else drawn(vocab, width)
        self.positions = drawn(positions, width) if gpt2 else None
        biases = lambda: (drawn(width), drawn(inner), drawn(width)) if gpt2 else None
        self.layers = [
            (drawn(3 * width, width), drawn(3 * width) if gpt2 else None,
             (drawn(width, width), self.norm, drawn(inner, width), None if gpt2 else drawn(inner, width), drawn(width, inner), biases()))
            for _ in range(layers)
        ]
        half = width // heads // 2
        angle = torch.arange(positions, device="cuda").view(1, -1, 1, 1) * 10000.0 ** (-torch.arange(half, device="cuda") / half)
        self.cos, self.sin = (None, None) if gpt2 else (angle.cos().bfloat16(), angle.sin().bfloat16())

    def cache(self, positions):
        width = self.tokens.shape[1]
        return [[torch.zeros(1, self.heads, positions, width // self.heads, device="cuda", dtype=torch.bfloat16) for _ in range(2)]
                for _ in self.layers]

    def first_token(self, tokens, chunk, cache):
        length = tokens.shape[1]
        for begin in range(0, length, chunk):
            end = min(begin + chunk, length)
            x = self.tokens[tokens[:, begin:end]]
            if self.gpt2:
                x = x + self.positions[begin:end]
            cos, sin = (None, None) if self.gpt2 else (self.cos[:, begin:end], self.sin[:, begin:end])
            for (qkv, bias, rest), (keys, values) in zip(self.layers, cache):
                q = before_attention(x, self.norm, qkv, bias, cos, sin, keys[:, :, begin:end], values[:, :, begin:end], self.heads)
                seen = keys[:, :, :end], values[:, :, :end]
                if begin == 0:
                    y = F.scaled_dot_product_attention(q, *seen, is_causal=True)
                else:
                    y = F.scaled_dot_product_attention(q, *seen, attn_mask=causal_lower_right(end - begin, end))
                x = after_attention(x, y, *rest)
        return F.linear(normed(x[:, -1], self.norm, self.gpt2), self.head).argmax(-1)


def seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def median(run):
    return statistics.median(seconds(run) for _ in range(arguments.repeats))


def replayed(work):
    """The median time of `work` as one graph, or None where it cannot be captured."""
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            token = work()
        graph.replay()
        return median(lambda: (graph.replay(), token.item()))
    except RuntimeError:
        torch.cuda.synchronize()
        return None


def line(name, model, length, chunk, backend):
    tokens, cache = torch.randint(model.tokens.shape[0], (1, length), device="cuda"), model.cache(length + 64)
    work = lambda: model.first_token(tokens, chunk, cache)
    with sdpa_kernel(backend):
        for _ in range(3):
            work().item()
        calls, graph = median(lambda: work().item()), replayed(work)
    how = f"{length}{' in chunks' if chunk < length else ''}, {backend.name.split('_')[0].lower()}"
    print(f"prefill {name} {how:32} calls {1e6 * calls:9.1f} us, {length / calls:9.0f} tokens/s"
          + (f"; graph {1e6 * graph:9.1f} us" if graph else "; no graph"), flush=True)


print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}{'' if arguments.plain else ', compiled but for attention'}")
torch.manual_seed(1)
torch._dynamo.config.cache_size_limit = 64
with torch.inference_mode():
    for name, *sizes, prompts in models:
        model = Model(*sizes, prompts[-1])
        for length in prompts:
            for chunk, backend in [(length, SDPBackend.FLASH_ATTENTION), (length, SDPBackend.CUDNN_ATTENTION),
                                   (CHUNK, SDPBackend.FLASH_ATTENTION)][: 3 if length > CHUNK else 2]:
                try:
                    line(name, model, length, chunk, backend)
                except RuntimeError as error:
                    print(f"prefill {name} {length} in chunks of {chunk}, {backend.name}: {str(error).splitlines()[0]}", flush=True)
        del model
