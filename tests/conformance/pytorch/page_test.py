"""The example of docs/conformance.md, taken from the page, holds every case that it says it covers.

Exit status 77 where PyTorch or safetensors is missing.
"""
import pathlib
import re
import sys
import tempfile

try:
    import safetensors.torch  # noqa: F401: the example needs it
    import torch
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

from cases import Case
from cases import Outputs
from cases import compare

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[3]


def covered(config):
    attention = config["attention"]
    plain = attention["variant"] in ("mha", "gqa", "mqa", "svformer", "skipv1") and attention.get("injection", "second_half") == "second_half"
    return config["architecture"] == "llama" and plain and "rope_frequencies" not in config


def main():
    torch.set_num_threads(1)
    page = (ROOT / "docs/conformance.md").read_text()
    example = compile(re.search(r"```python\n(.*?)```", page, re.S)[1], "docs/conformance.md", "exec")
    count = failures = 0
    for path in sorted((ROOT / "data/conformance").glob("*/model.safetensors")):
        case = Case(path.parent)
        if not covered(case.config):
            continue
        with tempfile.TemporaryDirectory() as out:
            sys.argv = ["skipv1.py", str(case.folder), out]
            exec(example, {"__name__": "__main__"})
            results = compare(case, Outputs(logits=np.load(f"{out}/logits.npy")), "f64")
        count += 1
        wrong = [e for *_, e, bound in results if not e <= bound]
        failures += len(wrong)
        print(*(f"{case.name}: error {e:.1e}" for e in wrong), sep="\n", end="\n" if wrong else "")
    print(f"{count} cases, {failures} failures")
    sys.exit(bool(failures or not count))


if __name__ == "__main__":
    main()
