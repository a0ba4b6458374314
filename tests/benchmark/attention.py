"""PyTorch's attention on a card, at the shapes of skipv1-benchmark-gpu, to run beside it:
   skipv1-benchmark-gpu --only decode && python3 tests/benchmark/attention.py [--json FILE]
Each is timed twice: "calls", one after the other, each waited for, launches and all; "graph", of several inputs one after the other,
replayed as a whole, which is how skipv1-benchmark-gpu times. Medians of 20. FlashAttention-3 is timed beside PyTorch's kernels where
its package (flash_attn_interface) is installed."""
import argparse
import json
import statistics

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--json", help="write the numbers into this file")
arguments = parser.parse_args()

import torch  # after --help, which does not need it
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

try:
    from flash_attn_interface import flash_attn_func
except ImportError:
    flash_attn_func = None

lines = []


def seconds(work):
    """By events; what `work` asked before, if it is not waited for, keeps the card busy."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    work()
    end.record()
    end.synchronize()
    return 1e-3 * begin.elapsed_time(end)


def timed(call, sets):
    for _ in range(3):
        call(*sets[0])
    calls = statistics.median(seconds(lambda: call(*sets[i % len(sets)])) for i in range(20))
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        call(*sets[0])
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for inputs in sets:
            call(*inputs)
    times = []
    for _ in range(20):
        graph.replay()
        times.append(seconds(graph.replay) / len(sets))
    return calls, statistics.median(times)


def line(name, times, amount, unit):
    calls, graph = times
    lines.append({"name": name, "calls": calls, "graph": graph, "rate": amount / graph, "unit": unit})
    of = lambda what, s: f"{what} {1e6 * s:8.1f} us {amount / s:8.0f} {unit:8}"
    print(f"{name:44} {of('calls', calls)} {of('graph', graph)}".rstrip(), flush=True)


def drawn(*shape, gradient=False):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16, requires_grad=gradient)


attend = F.scaled_dot_product_attention
print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, FlashAttention-3 {'is' if flash_attn_func else 'is not'} there")
torch.manual_seed(1)
x = torch.empty(1 << 31, dtype=torch.uint8, device="cuda").random_()
y = torch.empty_like(x)
line("copy of 2 GiB", timed(lambda a: y.copy_(a), [(x,)]), 2e-9 * x.numel(), "GB/s")
del x, y
a, b = drawn(8192, 8192), drawn(8192, 8192)
line("product 8192^3", timed(torch.mm, [(a, b)]), 2e-12 * 8192**3, "TFLOP/s")
for B, H, T, D in [(64, 32, 4096, 128), (32, 16, 4096, 64), (8, 16, 2048, 64), (1, 32, 32768, 128), (1, 32, 2048, 64), (1, 12, 1024, 64)]:
    size = 4 * B * H * T * D
    sets = [(drawn(B, H, 1, D), drawn(B, H, T, D), drawn(B, H, T, D)) for _ in range(min(32, int(6e8 / size) + 2))]
    line(f"decode {B}, {H}, {T}, {D}", timed(attend, sets), 1e-9 * size, "GB/s")
    halves = [(q, k, *(half.contiguous() for half in v.chunk(2, 1))) for q, k, v in sets]
    del sets
    joined = lambda q, k, u, v: attend(q, k, torch.cat([u, v], 1))
    line(f"decode {B}, {H}, {T}, {D}, values concatenated", timed(joined, halves), 1e-9 * size, "GB/s")
    del halves
for B, H, heads, T, D in [(1, 32, 8, 131072, 128), (256, 32, 8, 1024, 128)]:
    size = 4 * B * heads * T * D
    sets = [(drawn(B, H, 1, D), drawn(B, heads, T, D), drawn(B, heads, T, D)) for _ in range(2)]
    grouped = lambda q, k, v: attend(q, k, v, enable_gqa=True)
    line(f"decode {B}, {H} ({heads}), {T}, {D}", timed(grouped, sets), 1e-9 * size, "GB/s")
    del sets


def train(name, B, H, T, D, call, sets):
    operations = 2e-12 * B * H * T * T * D
    with torch.no_grad():
        line(f"{name} forward {B}, {H}, {T}, {D}", timed(lambda q, k, v, _: call(q, k, v), sets), operations, "TFLOP/s")
    both = lambda q, k, v, g: torch.autograd.grad(call(q, k, v), (q, k, v), g)
    line(f"{name} forward + backward {B}, {H}, {T}, {D}", timed(both, sets), 3.5 * operations, "TFLOP/s")


for B, H, T, D in [(32, 12, 1024, 64), (4, 32, 4096, 128), (16, 16, 1024, 64), (2, 32, 8192, 128), (1, 32, 16384, 128), (8, 16, 8192, 64)]:
    for name, backend in [("flash", SDPBackend.FLASH_ATTENTION), ("cuDNN", SDPBackend.CUDNN_ATTENTION)]:
        with sdpa_kernel(backend):
            sets = [tuple(drawn(B, H, T, D, gradient=True) for _ in range(3)) + (drawn(B, H, T, D),) for _ in range(2)]
            train(name, B, H, T, D, lambda q, k, v: attend(q, k, v, is_causal=True), sets)
    if flash_attn_func:
        sets = [tuple(drawn(B, T, H, D, gradient=True) for _ in range(3)) + (drawn(B, T, H, D),) for _ in range(2)]
        first = lambda out: out[0] if isinstance(out, tuple) else out
        train("FlashAttention-3", B, H, T, D, lambda q, k, v: first(flash_attn_func(q, k, v, causal=True)), sets)
if arguments.json:
    with open(arguments.json, "w") as file:
        json.dump(lines, file, indent=1)
