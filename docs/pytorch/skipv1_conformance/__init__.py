"""The conformance cases from Python, for tests of a SkipV1 implementation (docs/conformance.md, "As a package").

    import pytest
    from skipv1_conformance import cases, check

    @pytest.mark.parametrize("case", cases("llama_skipv1*"), ids=lambda case: case.name)
    def test_skipv1(case):
        logits = my_model(case.config, case.weights())(case.tokens)
        check(case, logits=logits)
"""
import fnmatch
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np

from skipv1_conformance.draw import draw_weights

__all__ = ["Case", "Result", "cases", "check"]

HERE = pathlib.Path(__file__).resolve().parent
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}
ORDER = ("f64", "f32", "bf16")  # from fine to coarse


def program():
    """The path of skipv1-check: of the variable SKIPV1_CHECK, of the package, or of PATH."""
    for path in (os.environ.get("SKIPV1_CHECK"), HERE / "bin/skipv1-check", HERE / "bin/skipv1-check.exe", shutil.which("skipv1-check")):
        if path and pathlib.Path(path).exists():
            return str(path)
    raise FileNotFoundError("skipv1-check: neither in the package nor on PATH; set SKIPV1_CHECK to it")


def suite():
    """The folder of all cases: the package's, or data/conformance of the source tree."""
    for folder in (HERE / "share/skipv1/conformance", HERE.parents[2] / "data/conformance"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError("the conformance cases are neither in the package nor in a source tree")


class Case:
    """A folder of data/conformance. `tokens` and `targets` are int32 (B, T), `logits` float64 (B, T, V)."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.name = self.folder.name
        self.config = json.loads((self.folder / "config.json").read_text())
        self.tokens, self.targets, self.logits = (np.load(self.folder / f"{x}.npy") for x in ("tokens", "targets", "logits"))
        self.expected = json.loads((self.folder / "expected.json").read_text())

    def __repr__(self):
        return f"Case({self.name!r})"

    @property
    def drawn(self):
        """Whether the weights are drawn from a seed instead of stored."""
        return not (self.folder / "model.safetensors").exists()

    def weights(self):
        """Name -> float64 array, read or drawn."""
        if self.drawn:
            manifest = json.loads((self.folder / "manifest.json").read_text())
            return draw_weights(self.config, manifest["seed"], manifest["drawn"])
        return read_safetensors(self.folder / "model.safetensors")

    def steps(self):
        """The steps of decoding: dicts with `keep` and `tokens`."""
        return json.loads((self.folder / "decoding.json").read_text())["steps"]


def cases(pattern="*", drawn=False):
    """The cases whose names fit `pattern`, sorted; those of kernel sizes, whose weights are drawn, only with `drawn`."""
    found = [Case(path.parent) for path in sorted(suite().glob("*/config.json")) if fnmatch.fnmatch(path.parent.name, pattern)]
    return [case for case in found if drawn or not case.drawn]


class Result:
    """What skipv1-check said: `holds`, `output`, `comparisons` (its --json) and `mistakes` (known ones that give these numbers)."""

    def __init__(self, holds, output, comparisons):
        self.holds, self.output, self.comparisons = holds, output, comparisons
        self.mistakes = [words for x in comparisons for words in x["mistakes"]]


def check(case, logits=None, loss=None, grads=None, trace=None, steps=None, cache_bytes=None, kv_elements_per_token=None, parameters=None,
          folder=None, dtype=None, raises=True):
    """Holds results against `case` and returns a `Result`; raises AssertionError with the checker's words unless all hold.

    Arrays are NumPy's, PyTorch's or JAX's. grads: parameter name -> array; trace: "layer0.values" -> array; steps: the logits (N, V) of
    each step of decoding; cache_bytes: the bytes after each step. `folder` has files to be compared instead of all these. `dtype` ("f64",
    "f32", "bf16") chooses the bounds; without it they are those of the coarsest array.
    """
    tensors = {name: x for name, x in (("logits", logits), ("loss", loss)) if x is not None}
    tensors.update(named("trace", trace))
    tensors.update({f"step{n}.logits": x for n, x in enumerate(() if steps is None else steps)})
    tensors.update(named("grads", grads))
    counts = {"kv_elements_per_token": kv_elements_per_token, "parameters": parameters}
    counts = {name: integer(name, x) for name, x in counts.items() if x is not None}
    held = None if cache_bytes is None else [integer("cache_bytes", x) for x in cache_bytes]
    if dtype not in (None, *ORDER):
        raise ValueError(f"dtype: {dtype!r}: must be one of {', '.join(ORDER)}")
    if folder is None and not tensors and not counts and held is None:
        raise ValueError("nothing to compare: none of logits, loss, grads, trace, steps, cache_bytes, kv_elements_per_token, parameters is given")
    dtype = dtype or coarsest(tensors.values())
    arrays = {name: as_float64(name, x) for name, x in tensors.items()}
    with tempfile.TemporaryDirectory() as work:
        own = pathlib.Path(work) / case.name
        if folder is None:
            folder = own
            folder.mkdir()
            if arrays:
                write_safetensors(folder / "actual.safetensors", arrays)
            write_json(folder / "expected.json", counts)
            write_json(folder / "decoding.json", {} if held is None else {"cache_bytes": {dtype: held}})
        report = pathlib.Path(work) / "report.json"
        command = [program(), str(case.folder), "--actual", str(folder), "--json", str(report), "--dtype", dtype]
        found = subprocess.run(command, capture_output=True, text=True)
        if found.returncode not in (0, 1):
            raise ValueError(without_folder(found.stderr.strip(), own) or f"skipv1-check: exit status {found.returncode}")
        result = Result(found.returncode == 0, without_folder(found.stdout, own), json.loads(report.read_text()))
    if raises and not result.holds:
        raise AssertionError(result.output)
    return result


def coarsest(arrays):
    def name_of(x):
        name = str(getattr(x, "dtype", "f64")).rsplit(".", 1)[-1]
        return {"float32": "f32", "bfloat16": "bf16", "float16": "bf16"}.get(name, "f64")

    return max((name_of(x) for x in arrays), key=ORDER.index, default="f64")


def named(argument, tensors):
    if tensors is not None and not hasattr(tensors, "items"):
        raise ValueError(f"{argument}: {brief(tensors)}: must be a dict of arrays by name")
    return tensors or {}


def as_float64(name, x):
    """Throws unless `x` is an array of real numbers."""
    try:
        if hasattr(x, "detach"):  # PyTorch's, of which NumPy has not every type
            x = x.detach().to("cpu")
            x = (x if x.is_complex() else x.double()).numpy()
        array = np.asarray(x)
        real = array.dtype.kind in "fiub" or "float" in array.dtype.name  # JAX's bfloat16 is of kind V
        converted = array.astype(np.float64) if real else None
    except (TypeError, ValueError):
        converted = None
    if converted is None:
        raise ValueError(f"{name}: {brief(x)}: must be an array of real numbers")
    return np.ascontiguousarray(converted) if converted.ndim else converted


def integer(name, x):
    try:
        if int(x) == x:
            return int(x)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name}: {brief(x)}: must be an integer")


def brief(x):
    """What a wrong argument is, in a few words."""
    return f"of type {x.dtype}" if hasattr(x, "dtype") else repr(x) if isinstance(x, (str, int, float, complex)) else f"a {type(x).__name__}"


def without_folder(text, folder):
    """The checker's words, where it names files of `folder`, which is gone when they are read."""
    for file in ("actual.safetensors", "expected.json", "decoding.json"):
        text = text.replace(str(folder / file), "the arguments of check()")
    return text.replace(str(folder), "the arguments of check()")


def write_json(path, value):
    if value:
        path.write_text(json.dumps(value))


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    size, tensors = int.from_bytes(data[:8], "little"), {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            x = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
            x = (x.astype(np.uint32) << 16).view(np.float32) if entry["dtype"] == "BF16" else x
            tensors[name] = x.astype(np.float64).reshape(entry["shape"])
    return tensors


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, x in tensors.items():
        header[name] = {"dtype": "F64", "shape": list(x.shape), "data_offsets": [offset, offset + 8 * x.size]}
        offset += 8 * x.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(x.tobytes() for x in tensors.values()))
