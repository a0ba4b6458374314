"""skipv1_conformance, the package of docs/pytorch, and the JAX example of docs/conformance.md where JAX is there.

    python tests/conformance/pytorch/package_test.py build/default/bin/skipv1-check       # exit status 77 where PyTorch is missing
"""
import importlib.util
import os
import pathlib
import re
import sys

try:
    import torch
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

import cases as own
import matrix
from decoding import Decoding
from decoding import decode
from run import SCALARS
from run import run

ROOT = pathlib.Path(__file__).resolve().parents[3]


def refused(text, work):
    try:
        work()
    except (AssertionError, ValueError) as error:
        assert text in str(error), error
        return
    raise SystemExit(f"nothing refused, expected: {text}")


def check_right_and_wrong(package):
    case = next(x for x in package.cases("llama_skipv1_half"))
    right = run(own.Case(case.folder), trace=True)
    logits, elements = decode(Decoding(own.Case(case.folder)))
    bytes_held = [4 * n for n in elements]
    result = package.check(case, logits=torch.from_numpy(right.logits), loss=right.loss, grads=right.grads, trace=right.trace,
                           kv_elements_per_token=right.elements, parameters=right.parameters, steps=logits)
    assert result.holds and not result.mistakes and "6 decoding steps" in result.output, result.output
    narrow = torch.from_numpy(right.logits).float()
    assert package.check(case, logits=narrow, cache_bytes=bytes_held).comparisons[0]["bound"] > 1e-7  # f32's
    refused("bound 1.0e-12", lambda: package.check(case, logits=narrow, dtype="f64"))
    refused("cache_bytes", lambda: package.check(case, logits=narrow, cache_bytes=[2 * n for n in bytes_held]))
    wrong = run(own.Case(case.folder), kind=matrix.MISTAKES["wrong_half"])
    refused("the wrong half is reused", lambda: package.check(case, logits=wrong.logits))
    assert package.check(case, logits=wrong.logits, raises=False).mistakes
    refused("no known mistake gives these logits; the first stage that differs is named where trace tensors lie beside them: ",
            lambda: package.check(case, logits=right.logits + 1))
    half = package.check(case, logits=right.logits.astype("float16"))
    assert half.holds and "\nwith logits of 16 bits this case does not show the mistakes below, " in half.output, half.output
    assert "\n  epsilon is added to the root instead of under it\n" in half.output and "causal mask" not in half.output, half.output
    assert "16 bits" not in package.check(case, logits=narrow).output
    check_numbers_of_16_bits(package, case, right)
    refused("belongs to nothing", lambda: package.check(case, trace={"layer9.keys": right.logits}))
    refused("nothing to compare", lambda: package.check(case))


def check_numbers_of_16_bits(package, case, right):
    """In wider files they are called so: stored; computed, with the gradients and the loss of that pass."""
    called = ("every number of logits is a {0}, and every difference is within {0}'s rounding: computed or stored in {0}; --dtype bf16 has the "
              "bounds of 16 bits")
    for dtype, name in (("f16", "float16"), ("bf16", "bfloat16")):
        stored = torch.from_numpy(right.logits).to(SCALARS[dtype])
        for wide in (torch.float64, torch.float32):
            refused(called.format(name), lambda: package.check(case, logits=stored.to(wide)))
        if multiplies(SCALARS[dtype]):
            computed = run(own.Case(case.folder), dtype, trace=True)
            for wide in (torch.float64, torch.float32):
                refused(called.format(name), lambda: package.check(case, logits=torch.from_numpy(computed.logits).to(wide),
                                                                   loss=computed.loss, grads=computed.grads))
            refused(f"computed or stored in {name}; ", lambda: package.check(case, logits=computed.logits, trace=computed.trace))
        else:
            print(f"PyTorch {torch.__version__} has no products in {name} on a CPU: passes computed in it are left out")
        assert package.check(case, logits=stored.double(), dtype="bf16").holds
        other = package.check(case, logits=stored.double() * 1.5, raises=False).output
        assert "no known mistake gives these logits" in other and "stored in" not in other, other


def multiplies(dtype):
    try:
        torch.ones(1, 1, dtype=dtype) @ torch.ones(1, 1, dtype=dtype)
    except RuntimeError:
        return False
    return True


def run_example(package):
    if not importlib.util.find_spec("jax"):
        print("JAX is missing: its example is left out")
        return
    page = (ROOT / "docs/conformance.md").read_text()
    example = next(x for x in re.findall(r"```python\n(.*?)```", page, re.S) if "import jax" in x)
    exec(compile(example, "docs/conformance.md", "exec"), {"__name__": "__main__"})


def main():
    os.environ["SKIPV1_CHECK"] = str(pathlib.Path(sys.argv[1]).resolve())
    sys.path.insert(0, str(ROOT / "docs/pytorch"))
    import skipv1_conformance as package
    stored = len(list((ROOT / "data/conformance").glob("*/model.safetensors")))
    everything = len(list((ROOT / "data/conformance").glob("*/config.json")))
    assert len(package.cases()) == stored and len(package.cases(drawn=True)) == everything
    check_right_and_wrong(package)
    run_example(package)
    print("the package holds")


if __name__ == "__main__":
    main()
