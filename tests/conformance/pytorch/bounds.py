"""Measures how far right implementations are from the expected numbers, and writes each case's bounds to its manifest.json.

    python tests/conformance/pytorch/bounds.py CASE…        # prints what it finds; --write writes the manifests

--widen: with another PyTorch or on another processor, which add in another order; a bound only grows.

A bound is HEADROOM times the largest error that any of the styles below makes of that tensor, at least FLOOR: right implementations
differ in where they round and in which order they add.
"""
import argparse
import json
import math

import torch

from cases import Case
from cases import compare
from cases import error
from decoding import Decoding
from decoding import decode
from model import Model
from run import run


class Plain(Model):
    """As transformers' eager models: norms, softmax and angles in float32, everything else in the model's scalar."""


class Narrow(Model):
    """Norms, softmax and loss in the model's scalar, too."""

    def norm(self, x, name):
        wide, self.wide = self.wide, self.dtype
        y = super().norm(x, name)
        self.wide = wide
        return y

    def softmax(self, scores):
        return torch.softmax(scores, -1)

    def loss(self, logits, targets):
        wide, self.wide = self.wide, self.dtype
        loss = super().loss(logits, targets)
        self.wide = wide
        return loss


class Fused(Model):
    """PyTorch's fused attention."""

    def attend(self, q, k, v):
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        mask = self.visible(q.shape[2], k.shape[2])
        o = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=self.scale(q.shape[-1]))
        return o.transpose(1, 2)


class Mixed(Model):
    """As under autocast: the residual stream in float32, matrix products in bfloat16."""

    def __init__(self, config, weights):
        super().__init__(config, {name: w.float() for name, w in weights.items()})
        self.narrow = next(iter(weights.values())).dtype

    def product(self, x, w):
        return x.to(self.narrow) @ w.to(self.narrow).T

    def linear(self, x, name):
        y, bias = self.product(x, self.w[name + ".weight"]), self.bias(name)
        return (y if bias is None else y + bias.to(self.narrow)).to(self.dtype)

    def output_head(self, x):
        return self.product(x, self.head_weight())


class Wide(Model):
    """Weights in the model's scalar, arithmetic in float32."""

    def __init__(self, config, weights):
        super().__init__(config, {name: w.float() for name, w in weights.items()})


def nudged(seed):
    """Weights moved at random by up to half a unit in the last place: as if every sum had rounded elsewhere."""

    class Nudged(Model):
        def __init__(self, config, weights):
            g = torch.Generator().manual_seed(seed)
            unit = torch.finfo(next(iter(weights.values())).dtype).eps / 2
            super().__init__(config, {
                name: w * (1 + unit * (2 * torch.rand(w.shape, generator=g) - 1)).to(w.dtype) if w.dtype == torch.float32 else
                (w.float() * (1 + unit * (2 * torch.rand(w.shape, generator=g) - 1))).to(w.dtype) for name, w in weights.items()})

    return Nudged


STYLES = [Plain, Narrow, Fused, Mixed, Wide] + [nudged(seed) for seed in range(3)]
if not hasattr(torch.nn.functional, "scaled_dot_product_attention"):  # PyTorch 1
    STYLES.remove(Fused)
HEADROOM = {"f32": 4, "bf16": 2}
HEADROOM_OF_GRADIENTS = {"f32": 4, "bf16": 3}
FLOOR = {"f32": {"logits": 5e-6, "loss": 2e-6, "trace": 5e-6, "gradients": 1e-5},
         "bf16": {"logits": 2e-2, "loss": 2e-2, "trace": 2e-2, "gradients": 8e-2}}
F64 = {"logits": 1e-12, "loss": 1e-12, "trace": 1e-12, "gradients": 1e-11}


def measure(case, dtype):
    """{tensor or kind: largest error of any style}."""
    right = run(case, "f64", trace=True)
    case.grads = case.grads or right.grads
    worst = {}
    for style in STYLES:
        out = run(case, dtype, style, decoding=style is Plain, trace=True)
        found = [(tensor, e) for kind, tensor, e, _ in compare(case, out, dtype) if kind != "cache"]
        found += [("trace", error(x, right.trace[name])) for name, x in out.trace.items()]
        for name, e in found:
            worst[name] = max(worst.get(name, 0), e)
    return worst


def measure_decoding(case, dtype):
    decoding = Decoding(case)
    return max(error(x, decoding.logits[f"step{n}.logits"]) for style in STYLES for n, x in enumerate(decode(decoding, dtype, style)[0]))


def rounded_up(x):
    """To one digit: 3.2e-6 is 4e-06."""
    unit = 10.0 ** math.floor(math.log10(x))
    return float(f"{math.ceil(x / unit - 1e-9) * unit:.0e}")


def bounds(case):
    result = {"f64": F64}
    for dtype, floor in FLOOR.items():
        result[dtype] = dict(floor)
        for name, e in measure(case, dtype).items():
            least = floor.get(name, floor["gradients"])
            bound = e * (HEADROOM if name in floor else HEADROOM_OF_GRADIENTS)[dtype]
            if bound > least:
                result[dtype][name] = rounded_up(bound)
    return with_decoding(case, result)


def with_decoding(case, result):
    """`result` with a bound "decoding" where one of the whole pass's logits is too narrow for it."""
    for dtype in FLOOR:
        result[dtype].pop("decoding", None)
        bound = measure_decoding(case, dtype) * HEADROOM[dtype] if (case.folder / "decoding.json").exists() else 0
        if bound > result[dtype]["logits"]:
            result[dtype]["decoding"] = rounded_up(bound)
    return result


def widened(old, new):
    """The larger of each bound of two; one that a manifest does not name is its class's."""
    result = {}
    for dtype, known in old.items():
        result[dtype] = dict(known)
        for name, bound in new[dtype].items():
            if bound > known.get(name, known["logits" if name == "decoding" else "gradients"]):
                result[dtype][name] = bound
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", metavar="CASE")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--decoding", action="store_true", help="measure decoding alone; what else the manifest has stays")
    parser.add_argument("--widen", action="store_true", help="keep the manifest's bounds where they are larger")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for folder in args.cases:
        case = Case(folder)
        found = with_decoding(case, case.manifest["bounds"]) if args.decoding else bounds(case)
        if args.widen:
            found = widened(case.manifest["bounds"], found)
        case.manifest["bounds"] = found
        print(case.name, json.dumps({dtype: found[dtype] for dtype in FLOOR}), flush=True)
        if args.write:
            (case.folder / "manifest.json").write_text(json.dumps(case.manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
