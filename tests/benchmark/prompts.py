"""PyTorch's time to a prompt's first token beside ours: the model that skipv1-benchmark-decoding times, in float on the CPU, keys and
values kept, the last row's logits and the likeliest token included:
   skipv1-benchmark-decoding && python3 tests/benchmark/prompts.py [--compile] [LENGTH...]
--compile: the pass goes through torch.compile first. Medians of 5."""
import statistics
import sys
import time

import torch
import torch.nn.functional as F

WIDTH, LAYERS, HEADS, INNER, VOCAB, LONGEST, REPEATS = 1024, 12, 16, 2816, 32000, 2049, 5


def drawn(*shape):
    return torch.randn(*shape) * 0.02


def turned(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


torch.manual_seed(1)
embedding, head, ones = drawn(VOCAB, WIDTH), drawn(VOCAB, WIDTH), torch.ones(WIDTH)
layers = [(drawn(3 * WIDTH, WIDTH), drawn(WIDTH, WIDTH), drawn(INNER, WIDTH), drawn(INNER, WIDTH), drawn(WIDTH, INNER))
          for _ in range(LAYERS)]
keys, values = torch.zeros(2, LAYERS, HEADS, LONGEST, WIDTH // HEADS)
angles = torch.outer(torch.arange(LONGEST), 10000.0 ** (-torch.arange(0, WIDTH // HEADS, 2) * HEADS / WIDTH))


def first_token(prompt):
    length = len(prompt)
    cos, sin = angles[:length].cos(), angles[:length].sin()
    x = embedding[prompt]
    for l, (qkv, o, gate, up, down) in enumerate(layers):
        q, k, v = F.linear(F.rms_norm(x, (WIDTH,), ones, 1e-5), qkv).view(length, 3, HEADS, -1).permute(1, 2, 0, 3)
        q, k = turned(q, cos, sin), turned(k, cos, sin)
        keys[l, :, :length], values[l, :, :length] = k, v
        y = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        x = x + F.linear(y.transpose(0, 1).reshape(length, WIDTH), o)
        h = F.rms_norm(x, (WIDTH,), ones, 1e-5)
        x = x + F.linear(F.silu(F.linear(h, gate)) * F.linear(h, up), down)
    return F.linear(F.rms_norm(x[-1], (WIDTH,), ones, 1e-5), head).argmax()


compiled = "--compile" in sys.argv[1:]
run = torch.compile(first_token) if compiled else first_token
print(f"PyTorch {torch.__version__}{', compiled' if compiled else ''}, {torch.get_num_threads()} threads")
with torch.inference_mode():
    for length in [int(word) for word in sys.argv[1:] if word.isdigit()] or [128, 512]:
        prompt = torch.arange(length) * 7919 % VOCAB
        times = []
        for _ in range(REPEATS + 1):
            start = time.perf_counter()
            run(prompt)
            times.append(time.perf_counter() - start)
        seconds = statistics.median(times[1:])
        print(f"prompt of {length:4}: {1e3 * seconds:.1f} ms, {length / seconds:.0f} tokens/s", flush=True)
