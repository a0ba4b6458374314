"""Runs the PyTorch model on cases and writes what skipv1-check --actual takes.

    python tests/conformance/pytorch/run.py CASE… --out DIR [--dtype f64|f32|bf16|f16] [--mistake NAME] [--trace] [--one-file]

With one case DIR gets its files, with more DIR/CASE. `--mistake list` prints the mistakes.
"""
import argparse
import pathlib

import numpy as np
import torch

from cases import Case
from cases import Outputs
from model import Model

TORCH = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16}
SCALARS = {**TORCH, "f16": torch.float16}  # float16 has no bounds of its own


def to_numpy(x):
    return x.detach().double().numpy()


def prepare(case, dtype):
    """The case's weights as leaves of autograd, its tokens and targets."""
    weights = {name: torch.from_numpy(w).to(SCALARS[dtype]).requires_grad_() for name, w in case.weights.items()}
    return weights, torch.from_numpy(case.tokens).long(), torch.from_numpy(case.targets).long()


def decode(model, tokens, counts):
    """Logits of `tokens` in chunks of `counts` positions, through the cache."""
    cache, logits = [{} for _ in range(model.L)], []
    with torch.no_grad():
        for chunk in tokens.split(counts, 1):
            logits.append(model.forward(chunk, cache))
    return to_numpy(torch.cat(logits, 1))


def run(case, dtype="f64", kind=Model, gradients=True, decoding=True, trace=False):
    """All that the checker compares, from a model of class `kind`."""
    weights, tokens, targets = prepare(case, dtype)
    model, cache, traced = kind(case.config, weights), [{} for _ in weights], {}
    cache = cache[:model.L]
    out = Outputs(elements=0, parameters=model.parameters())
    with torch.set_grad_enabled(gradients):
        logits = model.forward(tokens, cache, traced)
        loss = model.loss(logits, targets)
    out.logits, out.loss, out.elements = to_numpy(logits), loss.item(), model.cache_elements(cache)
    out.cache = cache
    if gradients:
        loss.backward()
        out.grads = {name: to_numpy(torch.zeros_like(w) if w.grad is None else w.grad) for name, w in weights.items()}
    if decoding:
        T = tokens.shape[1]
        out.decoded.append(decode(model, tokens, [T // 2, 1, T - T // 2 - 1]))
    if trace:
        out.trace = {name: to_numpy(x) for name, x in traced.items()}
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--dtype", choices=SCALARS, default="f64")
    parser.add_argument("--mistake")
    parser.add_argument("--trace", action="store_true", help="write the layers' tensors, too")
    parser.add_argument("--one-file", action="store_true", help="write actual.safetensors, in the scalar of --dtype")
    args = parser.parse_args()
    kind = Model
    if args.mistake:
        import matrix  # noqa: F401: registers all mistakes
        if args.mistake == "list":
            print(*(f"{name:28} {kind.words}" for name, kind in matrix.MISTAKES.items()), sep="\n")
            return
        kind = matrix.MISTAKES[args.mistake]
    if not args.out:
        parser.error("--out is missing")
    for folder in args.cases:
        case = Case(folder)
        out = args.out if len(args.cases) == 1 else args.out / case.name
        outputs = run(case, args.dtype, kind, trace=args.trace)
        if args.one_file:
            outputs.write_one(out, args.dtype.upper())
        else:
            outputs.write(out, "F64" if args.dtype == "f64" else "F32")


if __name__ == "__main__":
    main()
