"""Cases of data/conformance without PyTorch: read, drawn, compared and written (docs/conformance.md)."""
import json
import math
import pathlib

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def to_bf16(x):
    """The bits of `x` rounded to nearest, ties to even; finite numbers only."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def read_safetensors(path):
    """Name -> float64 array."""
    data = pathlib.Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        x = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        tensors[name] = (from_bf16(x) if entry["dtype"] == "BF16" else x).astype(np.float64).reshape(entry["shape"])
    return tensors


def write_safetensors(path, tensors, dtype="F64"):
    header, parts, offset = {}, [], 0
    for name, x in tensors.items():
        part = (to_bf16(x) if dtype == "BF16" else np.asarray(x)).astype(DTYPES[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(np.shape(x)), "data_offsets": [offset, offset + len(part)]}
        parts.append(part)
        offset += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(len(text).to_bytes(8, "little") + text + b"".join(parts))


class Case:
    """A folder of data/conformance; `weights` and `grads` as float64 arrays by name. `grads` is None where the model is drawn."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.name = self.folder.resolve().name
        self.config = json.loads((self.folder / "config.json").read_text())
        self.tokens, self.targets = (np.load(self.folder / f"{x}.npy") for x in ("tokens", "targets"))
        self.logits = np.load(self.folder / "logits.npy")
        self.expected = json.loads((self.folder / "expected.json").read_text())
        self.manifest = json.loads((self.folder / "manifest.json").read_text())
        self.drawn = self.manifest.get("drawn")
        if self.drawn:  # neither model nor gradients are in the folder
            from draw import draw_weights
            self.weights, self.grads = draw_weights(self.config, self.manifest["seed"], self.drawn), None
        else:
            self.weights = read_safetensors(self.folder / "model.safetensors")
            self.grads = read_safetensors(self.folder / "grads.safetensors")

    def bound(self, dtype, kind, tensor):
        """The manifest's for the tensor, else for its kind, else the default."""
        given = self.manifest.get("bounds", {}).get(dtype, {})
        return given.get(tensor, given.get(kind, {"f64": 1e-10, "f32": 2e-4, "bf16": 5e-2}[dtype]))


def chosen(index, case, whole):
    """Whether mistake number `index` has its turn in this case: all have with `whole`, else a third of each case's and of each
    mistake's."""
    return whole or (index + sum(case.name.encode())) % 3 == 0


def error(actual, expected, least=0.0):
    """max|a - b| / max(1e-12, least, max|b|); infinite where a number is not finite or the shapes differ."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        return math.inf
    return float(np.abs(actual - expected).max(initial=0) / max(1e-12, least, np.abs(expected).max(initial=0)))


class Outputs:
    """What an implementation computes for a case: arrays and numbers, any of them None."""

    def __init__(self, logits=None, decoded=(), loss=None, grads=None, elements=None, parameters=None, trace=None):
        self.logits, self.decoded, self.loss, self.grads = logits, list(decoded), loss, grads
        self.elements, self.parameters, self.trace = elements, parameters, trace or {}

    def write(self, folder, dtype="F64"):
        """The files that skipv1-check --actual takes."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        scalar = np.float64 if dtype == "F64" else np.float32
        expected = {"loss": self.loss, "kv_elements_per_token": self.elements, "parameters": self.parameters}
        (folder / "expected.json").write_text(json.dumps({k: v for k, v in expected.items() if v is not None}))
        for name, x in [("logits", self.logits), *self.trace.items()]:
            if x is not None:
                np.save(folder / f"{name}.npy", np.ascontiguousarray(x, scalar))
        if self.grads is not None:
            write_safetensors(folder / "grads.safetensors", self.grads, "F64" if dtype == "F64" else "F32")

    def write_one(self, folder, dtype):
        """All tensors as actual.safetensors; counts in expected.json."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {"logits": self.logits, "loss": np.float64(self.loss), **self.trace, **(self.grads or {})}
        write_safetensors(folder / "actual.safetensors", tensors, dtype)
        counts = {"kv_elements_per_token": self.elements, "parameters": self.parameters}
        (folder / "expected.json").write_text(json.dumps(counts))


def compare(case, outputs, dtype):
    """[(check, tensor, error, bound)] of everything that `outputs` has, as skipv1-check compares it."""
    o, results = outputs, []

    def add(kind, tensor, actual, expected, least=0.0):
        results.append((kind, tensor, error(actual, expected, least), case.bound(dtype, kind, tensor)))

    for logits in [o.logits, *o.decoded]:
        if logits is not None:
            add("logits", "logits", logits, case.logits)
    if o.loss is not None:
        add("loss", "loss", o.loss, case.expected["loss"])
    if o.grads is not None and case.grads is not None:
        least = 0.01 * max(np.abs(g).max() for g in case.grads.values())
        for name, g in case.grads.items():
            add("gradients", name, o.grads[name], g, least)
    for name, count in (("kv_elements_per_token", o.elements), ("parameters", o.parameters)):
        if count is not None:
            results.append(("cache", name, float(count != case.expected[name]), 0.0))
    return results
