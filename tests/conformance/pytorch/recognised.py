"""skipv1-check names the mistakes: of each one in mistakes*.py it prints which known mistake gives exactly these numbers, and
exits with status 1. Fails where it prints none, or another mistake's words without its own.

    python tests/conformance/pytorch/recognised.py build/default/bin/skipv1-check [--cases N] [--whole] [--verbose]

Each mistake is tried in N cases (2) that it applies to and that store their weights, by turns in f64 or f32, with --whole in both. Exit
status 77 where PyTorch is missing.
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
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

from cases import Case
from decoding import Decoding
from decoding import decode
from decoding import write
from matrix import MISTAKES
from matrix import SUITE
from mistakes import UNNAMED
from mistakes_of_decoding import DECODING_MISTAKES
from model import Model
from run import prepare
from run import run


def compute(folder, name, dtype, out):
    """Writes what mistake `name` computes for the case `folder`."""
    case = Case(folder)
    if name in MISTAKES:
        return run(case, dtype, MISTAKES[name], gradients=False, decoding=False).write(out, "F64" if dtype == "f64" else "F32")
    kind = DECODING_MISTAKES[name.removeprefix("decoding ")]
    write(pathlib.Path(out), dtype, *decode(Decoding(case), dtype, kind.model, kind.sequences))


def words_of(program, folder, name, dtype):
    """What skipv1-check says of mistake `name` in the case `folder`."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as out:
        compute(folder, name, dtype, out)
        report = pathlib.Path(out).with_suffix(".report.json")
        found = subprocess.run([program, folder, "--actual", out, "--json", report], capture_output=True, text=True)
        if found.returncode != 1:
            return [f"refused: {found.returncode} {found.stderr}"]
        comparisons = json.loads(report.read_text())
        report.unlink()
    return [words for x in comparisons for words in x["mistakes"]]


def called_another(name, words):
    """Whether the checker says what another mistake's words are, and not what its own are."""
    kinds = MISTAKES if name in MISTAKES else DECODING_MISTAKES
    own, others = kinds[name.removeprefix("decoding ")].words, {kind.words for kind in kinds.values()}
    return own not in words and not others.isdisjoint(words)


def jobs(count, whole):
    """(folder, mistake, dtype)"""
    every = {**{name: kind for name, kind in MISTAKES.items() if name not in UNNAMED},
             **{f"decoding {name}": kind for name, kind in DECODING_MISTAKES.items()}}
    tried = dict.fromkeys(every, 0)
    for path in sorted(SUITE.glob("*/model.safetensors")):
        case = Case(path.parent)
        facts = Model(case.config, prepare(case, "f64")[0])
        facts.case, case.cache = case, run(case, gradients=False, decoding=False).cache
        for index, (name, kind) in enumerate(every.items()):
            if kind.applies(facts) and tried[name] < count:
                for turn, dtype in enumerate(("f64", "f32")):
                    if whole or (index + tried[name] + turn) % 2 == 0:
                        yield str(path.parent), name, dtype
                tried[name] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--cases", type=int, default=2)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    failures = tries = 0
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        pending = [(job, pool.submit(words_of, args.program, *job)) for job in jobs(args.cases, args.whole)]
        for (folder, name, dtype), future in pending:
            words, tries = future.result(), tries + 1
            if args.verbose:
                print(f"{name} in {pathlib.Path(folder).name}, {dtype}: {words}")
            if not words or words[0].startswith("refused"):
                failures += 1
                print(f"{name} in {pathlib.Path(folder).name}, {dtype}: not recognised", *words)
            elif called_another(name, words):
                failures += 1
                print(f"{name} in {pathlib.Path(folder).name}, {dtype}: called another: {words}")
    print(f"{len(MISTAKES) - len(UNNAMED)} mistakes, {len(DECODING_MISTAKES)} of decoding, {tries} tries; {failures} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
