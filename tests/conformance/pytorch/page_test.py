"""The example of docs/conformance.md, taken from the page, holds every case that it says it covers; its two lines that read BF16 read
every case of that type. With the path of skipv1-check the lines of the page's section run as they stand, in what a clone has once
build/tutorials is built.

    python tests/conformance/pytorch/page_test.py [build/default/bin/skipv1-check]

Exit status 77 where PyTorch or safetensors is missing.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

try:
    import safetensors.torch  # noqa: F401: the example needs it
    import torch
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

from cases import Case
from cases import Outputs
from cases import compare
from cases import read_safetensors

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[3]


def covered(config):
    attention = config["attention"]
    plain = attention["variant"] in ("mha", "gqa", "mqa", "svformer", "skipv1") and attention.get("injection", "second_half") == "second_half"
    return config["architecture"] == "llama" and plain and "rope_frequencies" not in config


def bf16_failures(page):
    """How many BF16 tensors of the cases the page's two lines read otherwise than read_safetensors; all, if there is none."""
    lines = compile(textwrap.dedent(re.search(r"^    bits = .*\n    x = .*$", page, re.M)[0]), "docs/conformance.md", "exec")
    count = failures = 0
    for path in sorted((ROOT / "data/conformance").glob("*/model.safetensors")):
        content, weights = path.read_bytes(), read_safetensors(path)
        size = int.from_bytes(content[:8], "little")
        for name, entry in json.loads(content[8:8 + size]).items():
            if entry.get("dtype") != "BF16":
                continue
            begin, end = entry["data_offsets"]
            names = {"np": np, "data": content[8 + size + begin:8 + size + end], "shape": entry["shape"]}
            exec(lines, names)
            count += 1
            failures += not np.array_equal(names["x"], weights[name])
    print(f"{count} tensors in BF16, {failures} failures")
    return failures if count else 1


def lines_that_fail(page, example, program):
    """Of the commands in the section "In PyTorch" those that fail; a line that says so, if it has none."""
    section = re.search(r"^## In PyTorch\n.*?(?=^## )", page, re.S | re.M)[0]
    commands = re.findall(r"^    ((?:python|build)\S* .*)$", section, re.M)
    with tempfile.TemporaryDirectory() as clone:
        place = pathlib.Path(clone)
        for name in ("data", "docs", "tests"):
            (place / name).symlink_to(ROOT / name)
        (place / "build/tutorials/bin").mkdir(parents=True)
        (place / "build/tutorials/bin/skipv1-check").symlink_to(pathlib.Path(program).resolve())
        (place / "skipv1.py").write_text(example)
        failed = []
        for command in commands:
            words = command.split()
            words = [sys.executable if words[0] == "python" else words[0], *words[1:]]
            done = subprocess.run(words, cwd=clone, capture_output=True, text=True)
            failed += [f"{command}: exit status {done.returncode}: {done.stderr or done.stdout}"] if done.returncode else []
    print(f"{len(commands)} lines of the page, {len(failed)} failures")
    return failed if commands else ["no lines in the section"]


def main():
    torch.set_num_threads(1)
    page = (ROOT / "docs/conformance.md").read_text()
    text = re.search(r"```python\n(.*?)```", page, re.S)[1]
    example = compile(text, "docs/conformance.md", "exec")
    count, failures = 0, bf16_failures(page)
    failed = lines_that_fail(page, text, sys.argv[1]) if len(sys.argv) > 1 else []
    print(*failed, sep="\n", end="\n" if failed else "")
    failures += len(failed)
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
