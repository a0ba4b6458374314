"""MHA and SkipV1 trained in plain PyTorch, as the runs 10M-13M and 42M-26M of `skipv1-experiment rates` are: an independent check of
docs/results. Nothing here is shared with the C++ library but the text's tokens, which `skipv1-experiment ... --tokenizer-folder FOLDER`
leaves in FOLDER. Weights, order of windows and first place in the text are drawn by PyTorch, so one seed here is none of the library's.

    python3 train.py --tokens FOLDER/tokens-V-TRAIN.npy --held-out FOLDER/tokens-V-VALID.npy --out pytorch.json --size 10M-13M --seeds 3
    python3 train.py --out pytorch.json --table --beside rates.json    # from the files alone, without PyTorch

Letters: B batch, T positions, H heads, w width of a head.
"""
import argparse
import json
import math
import os
import statistics
import time

SIZES = {"10M-13M": dict(vocab=8192, width=256, layers=8, feed_forward=688, batch=32, peak=4e-3),
         "42M-26M": dict(vocab=16384, width=512, layers=8, feed_forward=1376, batch=64, peak=2e-3),
         "tiny": dict(vocab=8192, width=32, layers=2, feed_forward=48, batch=2, peak=2e-3, steps=20, length=32)}
VARIANTS = ("mha", "skipv1")
HEADS = 8


def rate(step, steps, peak, warm_up=0.1, floor=0.1):
    """Of step 0 ... steps - 1: linear over the first tenth, then half a cosine to a tenth of the peak."""
    warm = round(warm_up * steps)
    if step + 1 <= warm:
        return peak * (step + 1) / warm
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (step + 1 - warm) / (steps - warm))))


def build(size, variant):
    import torch
    from torch import nn
    from torch.nn import functional as F

    def rotate(x):
        """x (B, H, T, w): dimensions i and i + w/2 are a pair, turned by t * 10000^(-2i/w) at position t."""
        w = x.shape[-1]
        angle = torch.arange(x.shape[-2], device=x.device)[:, None] * 10000.0 ** (-torch.arange(0, w, 2, device=x.device) / w)
        cos, sin, (a, b) = angle.cos(), angle.sin(), x.float().chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)

    class Block(nn.Module):
        def __init__(self, layer, d=size["width"], f=size["feed_forward"]):
            super().__init__()
            self.own = HEADS if layer == 0 or variant == "mha" else HEADS // 2  # value heads
            self.w = d // HEADS
            self.norm1, self.norm2 = nn.RMSNorm(d, eps=1e-5), nn.RMSNorm(d, eps=1e-5)
            self.q, self.k, self.o = (nn.Linear(d, d, bias=False) for _ in range(3))
            self.v = nn.Linear(d, self.own * self.w, bias=False)
            self.gate, self.up, self.down = (nn.Linear(*shape, bias=False) for shape in ((d, f), (d, f), (f, d)))

        def heads(self, y):
            return y.unflatten(-1, (-1, self.w)).transpose(1, 2)

        def forward(self, x, first):
            """`first`: layer 0's values (B, H, T, w), None in layer 0. Returns the stream and layer 0's values."""
            y = self.norm1(x)
            v = self.heads(self.v(y))
            first = v if first is None else first
            if self.own < HEADS:
                v = torch.cat((v, first[:, self.own:]), 1)  # the later half of the heads reads layer 0's
            q, k = rotate(self.heads(self.q(y))), rotate(self.heads(self.k(y)))
            x = x + self.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(-2))
            y = self.norm2(x)
            return x + self.down(F.silu(self.gate(y)) * self.up(y)), first

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(size["vocab"], size["width"])
            self.blocks = nn.ModuleList(Block(l) for l in range(size["layers"]))
            self.norm = nn.RMSNorm(size["width"], eps=1e-5)
            self.head = nn.Linear(size["width"], size["vocab"], bias=False)
            for name, p in self.named_parameters():
                if p.dim() == 2:
                    last = name.endswith(("o.weight", "down.weight"))
                    nn.init.normal_(p, std=0.02 / (math.sqrt(2 * size["layers"]) if last else 1))

        def forward(self, tokens, targets):
            """The mean cross-entropy of `targets` (B, T) after `tokens` (B, T)."""
            x, first = self.embedding(tokens), None
            for block in self.blocks:
                x, first = block(x, first)
            return F.cross_entropy(self.head(self.norm(x)).float().flatten(0, 1), targets.flatten())

    return Model()


def windows_of(tokens, starts, length):
    import torch

    at = starts[:, None] + torch.arange(length + 1, device=tokens.device)
    block = tokens[at]
    return block[:, :-1], block[:, 1:]


def held_out_loss(model, tokens, length, batch, autocast):
    """Over all windows that lie next to each other, the last one shorter; each token but the first is predicted once."""
    import torch

    total, count, whole = 0.0, len(tokens) - 1, (len(tokens) - 1) // length
    with torch.no_grad(), autocast():
        for begin in range(0, whole, batch):
            starts = torch.arange(begin, min(begin + batch, whole), device=tokens.device) * length
            total += model(*windows_of(tokens, starts, length)).item() * len(starts) * length
        rest = count - whole * length
        if rest:
            total += model(*windows_of(tokens, torch.tensor([whole * length], device=tokens.device), rest)).item() * rest
    return total / count, count


def train(size, variant, seed, text, held_out, device):
    """One run. `text` and `held_out`: ids on the device."""
    import torch

    torch.manual_seed(seed)
    draws = torch.Generator().manual_seed(seed)  # apart from the weights': equal seeds give MHA and SkipV1 equal windows
    model = build(size, variant).to(device)
    steps, length, batch = size.get("steps", 800), size.get("length", 512), size["batch"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1, betas=(0.9, 0.95), eps=1e-8, weight_decay=0, fused=device == "cuda")
    autocast = lambda: torch.autocast(device, torch.bfloat16, enabled=device == "cuda")  # float32 weights and moments
    count = (len(text) - length) // length
    order = torch.randperm(count, generator=draws)[:steps * batch].to(device) * length
    order += torch.randint(length, (1,), generator=draws).item()
    assert len(order) == steps * batch, "the text is shorter than one epoch of these steps"
    late, begin = torch.zeros((), device=device), time.time()
    for step in range(steps):
        with autocast():
            loss = model(*windows_of(text, order[step * batch:(step + 1) * batch], length))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, size["peak"])
        optimizer.step()
        optimizer.zero_grad()
        if step >= steps - steps // 20:
            late += loss.detach()
    late = late.item() / (steps // 20)
    seconds = time.time() - begin
    final, predicted = held_out_loss(model, held_out, length, batch, autocast)
    return {"parameters": sum(p.numel() for p in model.parameters()), "final_nats_per_token": final, "final_tokens": predicted,
            "train_nats_per_token": late, "epochs": steps * batch / count, "seconds": seconds, "settings": size,
            "device": torch.cuda.get_device_name() if device == "cuda" else device, "torch": torch.__version__}


def load(path, device):
    import numpy
    import torch

    return torch.from_numpy(numpy.load(path).astype("int64")).to(device)


def fill(asked):
    """Trains what `asked.out` does not hold yet, seed by seed, and writes it after each run."""
    import torch

    device = asked.device or ("cuda" if torch.cuda.is_available() else "cpu")
    text, held_out = load(asked.tokens, device), load(asked.held_out, device)
    results = json.load(open(asked.out)) if os.path.exists(asked.out) else {"experiment": "pytorch", "runs": []}
    for seed in range(1, asked.seeds + 1):
        for variant in VARIANTS:
            size = dict(SIZES[asked.size], **({"peak": asked.peak} if asked.peak else {}))
            label = f"{asked.size}/{variant}@{1e3 * size['peak']:g}e-3"
            if any((run["label"], run["seed"]) == (label, seed) for run in results["runs"]):
                continue
            run = train(size, variant, seed, text, held_out, device)
            results["runs"].append({"label": label, "seed": seed, **run})
            print(f"{label}, seed {seed}: {run['final_nats_per_token']:.4f} held out, {run['train_nats_per_token']:.4f} training, "
                  f"{run['seconds']:.0f} s", flush=True)
            with open(asked.out + ".part", "w") as file:
                json.dump(results, file, indent=1)
            os.replace(asked.out + ".part", asked.out)
    return results


T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)  # Student's t by degrees of freedom 1 ...


def interval(values):
    """The mean with its interval of 95 %; of one or two seeds these, as Student's interval of two says nothing."""
    mean = statistics.mean(values)
    if len(values) <= 2:
        return ", ".join(f"{x:+.4f}" for x in values) + f", n = {len(values)}"
    half = T95[len(values) - 2] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}], n = {len(values)}"


def apart(a, b):
    """The difference of two means with its interval of 95 % (Welch), or without where a side has fewer than three runs."""
    gap = statistics.mean(a) - statistics.mean(b)
    if min(len(a), len(b)) < 3:
        return f"{gap:+.4f}"
    parts = [statistics.variance(x) / len(x) for x in (a, b)]
    freedom = sum(parts) ** 2 / sum(p * p / (len(x) - 1) for p, x in zip(parts, (a, b)))
    half = T95[min(max(int(freedom), 1), len(T95)) - 1] * math.sqrt(sum(parts))
    return f"{gap:+.4f} [{gap - half:+.4f}, {gap + half:+.4f}]"


def losses(runs, label, key):
    """By seed; the library's files keep a curve of training losses, whose last entry counts."""
    last = lambda value: value[-1] if isinstance(value, list) else value
    return {run["seed"]: last(run[key]) for run in runs if run["label"] == label}


def spread(values):
    return f"{statistics.mean(values):.4f}" + (f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else "")


def table(results, others):
    """Rows for docs/results: each text's losses in PyTorch and in the library, and SkipV1 minus MHA in both."""
    def library(label):
        """The runs of the file with most of that name."""
        return max(others, key=lambda runs: sum(run["label"] == label for run in runs), default=[])

    def gaps(runs, first, second, key):
        a, b = losses(runs, first, key), losses(runs, second, key)
        return [a[seed] - b[seed] for seed in a if seed in b]

    print("| run | loss | PyTorch | n | library | n | PyTorch - library |\n|---|---|---|---|---|---|---|")
    labels = list(dict.fromkeys(run["label"] for run in results["runs"]))
    for key, name in (("final_nats_per_token", "held out"), ("train_nats_per_token", "training")):
        for label in labels:
            a, b = list(losses(results["runs"], label, key).values()), list(losses(library(label), label, key).values())
            if b:
                print(f"| {label} | {name} | {spread(a)} | {len(a)} | {spread(b)} | {len(b)} | {apart(a, b)} |")
    print("\n| SkipV1 - MHA | loss | PyTorch | library |\n|---|---|---|---|")
    for key, name in (("final_nats_per_token", "held out"), ("train_nats_per_token", "training")):
        for label in labels:
            base = label.replace("/skipv1@", "/mha@")
            if base == label or base not in labels:
                continue
            own = interval(gaps(results["runs"], label, base, key))
            other = gaps(library(label), label, base, key)
            print(f"| {label.split('/')[0]} | {name} | {own} | {interval(other) if other else ''} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="results, in JSON; the same command again goes on where it stopped")
    parser.add_argument("--tokens", help="ids of the text, .npy")
    parser.add_argument("--held-out", help="ids of the held-out text, .npy")
    parser.add_argument("--size", choices=SIZES, default="10M-13M")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--peak", type=float, help="another peak rate")
    parser.add_argument("--device", choices=("cpu", "cuda"))
    parser.add_argument("--table", action="store_true", help="print a table of --out")
    parser.add_argument("--beside", nargs="*", default=[], help="files of results of skipv1-experiment to compare with")
    asked = parser.parse_args()
    if asked.tokens:
        results = fill(asked)
    else:
        results = json.load(open(asked.out))
    if asked.table:
        table(results, [json.load(open(file))["runs"] for file in asked.beside])


if __name__ == "__main__":
    main()
