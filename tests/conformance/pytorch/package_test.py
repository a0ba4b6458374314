"""skipv1_conformance, the package of docs/pytorch, and the JAX example of docs/conformance.md where JAX is there.

    python tests/conformance/pytorch/package_test.py build/default/bin/skipv1-check       # exit status 77 where PyTorch is missing
"""
import importlib.util
import os
import pathlib
import re
import sys
import tempfile

try:
    import torch
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

import cases as own
import matrix
from decoding import Decoding
from decoding import decode
from model import Model
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
    assert "\n  epsilon is added to the root instead of under it\n" in half.output and "there is no causal mask" not in half.output, half.output
    assert "16 bits" not in package.check(case, logits=narrow).output
    check_numbers_of_16_bits(package, case, right)
    check_shifted_positions(package)
    refused("belongs to nothing", lambda: package.check(case, trace={"layer9.keys": right.logits}))
    refused("nothing to compare: none of logits, loss", lambda: package.check(case))
    check_arguments(package, case, right)


def check_arguments(package, case, right):
    """What is no number is refused by its argument's name, before the work; and no words name a folder that is gone."""
    for name, value, text in (("loss", "abc", "loss: 'abc': must be an array of real numbers"),
                              ("logits", right.logits.astype(complex), "logits: of type complex128: must be an array of real numbers"),
                              ("logits", torch.from_numpy(right.logits).cfloat(), "logits: of type complex64: must be"),
                              ("logits", [[1.0], [1.0, 2.0]], "logits: a list: must be"), ("logits", {}, "logits: a dict: must be"),
                              ("steps", ["x"], "step0.logits: 'x': must be"), ("trace", right.logits, "trace: of type float64: must be a dict"),
                              ("grads", "x", "grads: 'x': must be a dict"), ("grads", {"lm_head.weight": None}, "lm_head.weight: a NoneType: must be"),
                              ("parameters", "many", "parameters: 'many': must be an integer"), ("parameters", 1.5, "parameters: 1.5: must be"),
                              ("cache_bytes", [None], "cache_bytes: a NoneType: must be"), ("dtype", "f8", "dtype: 'f8': must be one of f64, f32, bf16")):
        refused(text, lambda: package.check(case, **{name: value}))
    for arguments in ({"logits": right.logits[:1]}, {"logits": right.logits * 2}, {"parameters": 1}, {"trace": {"layer9.keys": right.logits}},
                      {"cache_bytes": [-1]}, {"logits": right.logits}):
        try:
            words = package.check(case, **arguments).output
        except (AssertionError, ValueError) as error:
            words = str(error)
        assert tempfile.gettempdir() not in words and "the arguments of check()" in words, words


def shifted(*which):
    """Rotary positions from 1 in some of rotate_queries, rotate_keys, rotate; of "rotate" in all."""

    def later(name):
        return lambda self, x, positions: getattr(Model, name)(self, x, positions + 1)

    return type("Shifted", (Model,), {name: later(name) for name in which})


def check_shifted_positions(package):
    """Of queries and keys alike they change trace tensors alone, which is said; of queries alone they are wrong."""
    said = "rotary positions are counted from 1, of queries and keys alike: harmless, logits are the same"
    for name in ("llama_skipv1_half", "llama_mla", "llama_skipv1_yarn", "llama_yoco"):
        case = next(x for x in package.cases(name))
        both = run(own.Case(case.folder), kind=shifted("rotate"), trace=True)
        found = package.check(case, logits=both.logits, trace=both.trace, raises=False)
        assert not found.holds and said in found.output, found.output
        assert said not in package.check(case, trace=both.trace, raises=False).output
        queries = run(own.Case(case.folder), kind=shifted("rotate_queries"), trace=True)
        if name != "llama_mla":
            refused("first difference: layer0.queries_rotated",
                    lambda: package.check(case, logits=queries.logits, trace=queries.trace))
            assert said not in package.check(case, logits=queries.logits, trace=queries.trace, raises=False).output


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
    for case in package.cases("gpt2_skipv1_d64", drawn=True):
        drawn = own.Case(case.folder)
        drawn.weights = case.weights()
        assert package.check(case, logits=run(drawn, gradients=False, decoding=False).logits).holds
    run_example(package)
    print("the package holds")


if __name__ == "__main__":
    main()
