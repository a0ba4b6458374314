"""Decoding of the cases (docs/spec/formats.md, "Decoding") by the PyTorch model, right and with each mistake of decoding.

    python tests/conformance/pytorch/decoding.py [CASE…]           # fails unless the right model holds and every mistake is rejected
    python tests/conformance/pytorch/decoding.py CASE… --write     # writes the expected logits, of whole passes without a cache
    python tests/conformance/pytorch/decoding.py CASE… --out DIR [--mistake NAME] [--dtype f32]     # what skipv1-check --actual takes

`--check skipv1-check` holds that program to the same verdicts; on mistakes with --whole alone, since recognised.py tries it on each. As in
matrix.py, f64 follows from f32 where that is ten bounds away, and a third of the pairs is computed, half of these in bf16, and one more of
a mistake that none of them rejects, but for --whole. Exit status 77 where PyTorch is missing.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
except ImportError as problem:
    print(f"skipped: {problem}")
    sys.exit(77)

import numpy as np

from cases import Case
from cases import chosen
from cases import error
from cases import read_safetensors
from cases import write_safetensors
from model import Model
from run import TORCH
from run import prepare
from run import to_numpy

SUITE = pathlib.Path(__file__).resolve().parents[3] / "data/conformance"
BYTES = {"f64": 8, "f32": 4, "bf16": 2}


class Decoding:
    """The steps of a case, and what they lead to."""

    def __init__(self, case):
        self.case, self.folder = case, case.folder
        json_file = json.loads((self.folder / "decoding.json").read_text())
        self.steps, self.cache_bytes = json_file["steps"], json_file["cache_bytes"]
        self.logits = read_safetensors(self.folder / "decoding.safetensors")
        self.batch = len(self.steps[0]["tokens"])


class Sequences:
    """Sequences beside each other, each with a cache of its own. `model.caches`, `model.sequence`: for mistakes that look aside."""

    def __init__(self, model, batch):
        self.model = model
        self.caches = [[{} for _ in range(model.L)] for _ in range(batch)]
        model.caches = self.caches

    def length(self, b):
        return self.caches[b][0].get("length", 0)

    def truncate(self, b, keep):
        for layer in self.caches[b]:
            for name in layer:
                layer[name] = keep if name == "length" else layer[name][:, :keep]

    def elements(self):
        return sum(self.model.cache_elements(cache) * cache[0]["length"] for cache in self.caches if cache[0])

    def run(self, steps):
        """Of each step the logits (N, V) and the elements held after it; a step is computed when it is asked for."""
        for step in steps:
            rows = []
            for b, (keep, tokens) in enumerate(zip(step["keep"], step["tokens"])):
                self.truncate(b, keep)
                if tokens:
                    self.model.sequence = b
                    with torch.no_grad():
                        rows.append(self.model.forward(torch.tensor([tokens]), self.caches[b])[0])
            yield to_numpy(torch.cat(rows)), self.elements()


def decode_steps(decoding, dtype="f64", kind=Model, sequences=Sequences):
    """(logits, elements) after each step, of a model of class `kind`."""
    model = kind(decoding.case.config, prepare(decoding.case, dtype)[0])
    return sequences(model, decoding.batch).run(decoding.steps)


def decode(*args):
    """`decode_steps` as two lists."""
    logits, elements = zip(*decode_steps(*args))
    return logits, elements


def whole_passes(decoding):
    """The logits of each step without a cache: every sequence passes whole, each time from its first token."""
    model, held, logits = Model(decoding.case.config, prepare(decoding.case, "f64")[0]), [[]] * decoding.batch, []
    with torch.no_grad():
        for step in decoding.steps:
            held = [x[:keep] + tokens for x, keep, tokens in zip(held, step["keep"], step["tokens"])]
            passes = [model.forward(torch.tensor([x]), [{} for _ in range(model.L)])[0, keep:]
                      for x, keep, tokens in zip(held, step["keep"], step["tokens"]) if tokens]
            logits.append(to_numpy(torch.cat(passes)))
    return logits


def compare_step(decoding, dtype, n, logits, elements):
    name, bound = f"step{n}.logits", decoding.case.bound(dtype, "logits", "decoding")
    wrong_bytes = float(elements * BYTES[dtype] != decoding.cache_bytes[dtype][n])
    return [(name, error(logits, decoding.logits[name]), bound), (f"step{n}.cache_bytes", wrong_bytes, 0.0)]


def compare(decoding, dtype, logits, elements):
    """[(tensor, error, bound)] as skipv1-check compares them."""
    return [result for n, step in enumerate(zip(logits, elements)) for result in compare_step(decoding, dtype, n, *step)]


def holds(results):
    return all(e <= bound for _, e, bound in results)


def write(out, dtype, logits, elements):
    """What skipv1-check --actual takes."""
    out.mkdir(parents=True, exist_ok=True)
    for n, x in enumerate(logits):
        np.save(out / f"step{n}.logits.npy", x.astype(np.float64 if dtype == "f64" else np.float32))
    counts = {"cache_bytes": {dtype: [n * BYTES[dtype] for n in elements]}}
    (out / "decoding.json").write_text(json.dumps(counts))


def check(program, decoding, dtype, results, status, name):
    """Lines that say where the exit status of skipv1-check is another than `status`."""
    with tempfile.TemporaryDirectory() as out:
        write(pathlib.Path(out), dtype, *results)
        command = [program, decoding.folder, "--actual", out, "--dtype", dtype]
        found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode == status:
        return []
    return [f"skipv1-check: exit status {found.returncode}, expected {status}: {name} in {decoding.case.name}, {dtype}\n{found.stderr}"]


def examine(folder, program, whole=True, only=None):
    """Lines that say what is wrong with the suite; [(mistake, dtype, verdict)]; the mistakes that apply. `only`: a mistake that is computed
    alone, in every dtype."""
    from mistakes_of_decoding import DECODING_MISTAKES
    torch.set_num_threads(1)
    case = Case(folder)
    decoding, failures, rows, applying = Decoding(case), [], [], []
    facts, rounding = Model(case.config, prepare(case, "f64")[0]), {}
    for dtype in TORCH if not only else ("bf16",):
        results = decode(decoding, dtype)
        rounding[dtype] = compare(decoding, dtype, *results)
        wrong = [f"{x}: error {e:.1e}, bound {bound:.0e}" for x, e, bound in rounding[dtype] if not e <= bound]
        failures += [f"{case.name}, {dtype}: {line}" for line in wrong]
        if program and not only and dtype != "bf16" and (whole or dtype == ("f64", "f32")[len(case.name) % 2]):
            failures += check(program, decoding, dtype, results, 0, "right")
    for index, (name, kind) in enumerate(DECODING_MISTAKES.items()):
        if not kind.applies(facts):
            continue
        applying.append(name)
        if name != only if only else not chosen(index, case, whole):
            continue
        written = program and whole and not case.drawn and decode(decoding, "f32", kind.model, kind.sequences)
        far = False  # ten bounds away in f32
        for dtype in ("f32", "f64", "bf16"):
            if not whole and not only and (far if dtype == "f64" else dtype == "bf16" and index % 2):
                continue
            # No step behind the first that fails is computed.
            steps = zip(*written) if written and dtype == "f32" else decode_steps(decoding, dtype, kind.model, kind.sequences)
            compared = (compare_step(decoding, dtype, n, *step) for n, step in enumerate(steps))
            failed = next((step for step in compared if not holds(step)), None)
            if failed:
                verdict, far = "rejected", far or dtype == "f32" and any(e > 10 * bound for _, e, bound in failed)
            elif dtype != "bf16":
                verdict = "missed"
            else:  # whether the mistake itself, in f64 without any rounding, is larger than bound and rounding together
                effect = compare(decoding, dtype, *decode(decoding, "f64", kind.model, kind.sequences))
                exceeds = any(not e <= bound + own for (_, e, bound), (_, own, _) in zip(effect, rounding[dtype]))
                verdict = "missed" if exceeds else "below"
            rows.append((name, dtype, verdict))
            if verdict == "missed":
                failures.append(f"{case.name}, {dtype}: {name} holds")
        if written:
            failures += check(program, decoding, "f32", written, 1, name)
    return failures, rows, applying


def examine_all(folders, program, whole, pool):
    """What `examine` says of all cases, and of each mistake that none rejects so far: in the first that it applies to."""
    failures, rows, first = [], [], {}
    for folder, (found, more, applying) in zip(folders, pool.map(examine, folders, [program] * len(folders), [whole] * len(folders))):
        failures, rows = failures + found, rows + more
        first |= {name: folder for name in applying if name not in first}
    for name in [] if whole else sorted(set(first) - {name for name, _, verdict in rows if verdict == "rejected"}):
        found, more, _ = examine(first[name], program, whole, name)
        failures, rows = failures + found, rows + more
    return failures, rows


def write_expected(folder):
    decoding = Decoding(Case(folder))
    logits = whole_passes(decoding)
    write_safetensors(decoding.folder / "decoding.safetensors", {f"step{n}.logits": x for n, x in enumerate(logits)})
    elements = decode(decoding)[1]
    assert decoding.cache_bytes == {dtype: [n * width for n in elements] for dtype, width in BYTES.items()}, decoding.case.name


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--check")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--mistake")
    parser.add_argument("--dtype", choices=TORCH, default="f64")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folders = args.cases or sorted(path.parent for path in SUITE.glob("*/decoding.json"))
    from mistakes_of_decoding import DECODING_MISTAKES
    if args.out:
        kind = DECODING_MISTAKES.get(args.mistake)
        for decoding in (Decoding(Case(folder)) for folder in folders):
            out = args.out if len(folders) == 1 else args.out / decoding.case.name
            write(out, args.dtype, *decode(decoding, args.dtype, *((kind.model, kind.sequences) if kind else ())))
        return
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        if args.write:
            return list(pool.map(write_expected, folders))
        failures, rows = examine_all(folders, args.check, args.whole, pool)
    for name in DECODING_MISTAKES:
        count = {v: sum(row[0] == name and row[2] == v for row in rows) for v in ("rejected", "below", "missed")}
        print(f"{name:28}", *(f"{v} {n:4}" for v, n in count.items()))
        failures += [f"{name}: no case rejects it"] if not args.cases and not count["rejected"] else []
    print(*failures, sep="\n", end="\n" if failures else "")
    print(f"{len(DECODING_MISTAKES)} mistakes of decoding, {len(folders)} cases, {len(rows)} pairs, of which "
          f"{sum(v == 'below' for *_, v in rows)} are below a bf16 bound; {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
