"""The suite measured by mutation: every mistake against every case that it applies to, in f64, f32 and bf16.

    python tests/conformance/pytorch/matrix.py [CASE…] [--check build/default/bin/skipv1-check] [--table FILE] [--whole]

Fails (exit status 1) unless the right model holds in every case, and each mistake is rejected by every case that it applies to: in
f64 and f32 always, in bf16 where the mistake's own effect, measured in f64, exceeds the bound there by what the right model errs in
bf16. What is ten bounds away in f32 is a million away in f64, and taken for rejected there. A third of the pairs is computed in f32, half
of these in bf16, and of a mistake that none of them rejects one pair more. With --whole all are computed in all, but in f64 for cases of a
kernel's size, which would take minutes.
--check holds skipv1-check to the same verdict on all cases for the right model, and on one case of each mistake: with --whole in every dtype
and of all mistakes, else in one dtype each and of those that recognised.py leaves out.
Exit status 77 where PyTorch is missing.
"""
import argparse
import concurrent.futures
import math
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

import mistakes_of_attention  # noqa: F401: they register
import mistakes_of_defaults  # noqa: F401
import mistakes_of_features  # noqa: F401
import mistakes_of_rotation  # noqa: F401
import mistakes_of_shared_values  # noqa: F401
import mistakes_of_variants  # noqa: F401
from cases import Case
from cases import chosen
from cases import compare
from mistakes import MISTAKES
from mistakes import UNNAMED
from model import Model
from run import TORCH
from run import prepare
from run import run

DTYPES = tuple(TORCH)
SUITE = pathlib.Path(__file__).resolve().parents[3] / "data/conformance"


def rejected(case, dtype, kind):
    """The error of the comparison that fails worst, in bounds; 0 if all hold. What costs more is computed only if the rest holds."""
    for options in ({"gradients": False, "decoding": False}, {"gradients": False}, {"decoding": False}):
        failed = [e / bound if bound else math.inf for _, _, e, bound in compare(case, run(case, dtype, kind, **options), dtype)
                  if not e <= bound]
        if failed:
            return max(failed)
    return 0


def exceeds_in_bf16(case, kind, wrong_by):
    """Whether the mistake itself, without any rounding, is larger than bound and rounding together. `wrong_by`: the right model's
    errors in bf16."""
    effect = compare(case, run(case, "f64", kind), "bf16")
    return any(not e <= bound + wrong_by.get(tensor, 0) for _, tensor, e, bound in effect)


def examine(folder, whole, only=None):
    """[(case, mistake, dtype, verdict)], verdict one of holds, rejected, missed, below (its bound in bf16); the mistakes that apply. `only`:
    a mistake that is computed alone, in every dtype."""
    torch.set_num_threads(1)
    case, rows, applying = Case(folder), [], []
    right = run(case)
    case.grads = case.grads or right.grads  # of a drawn case
    facts = Model(case.config, prepare(case, "f64")[0])
    facts.case, case.cache = case, right.cache
    wrong_by = {}
    for dtype in DTYPES if not only else ("bf16",):
        results = compare(case, right if dtype == "f64" else run(case, dtype), dtype)
        rows.append((case.name, "right", dtype, "holds" if all(e <= bound for _, _, e, bound in results) else "rejected"))
        if dtype == "bf16":
            wrong_by = {tensor: e for _, tensor, e, _ in results}
    for index, (name, kind) in enumerate(MISTAKES.items()):
        if not kind.applies(facts):
            continue
        applying.append(name)
        if name != only if only else not chosen(index, case, whole):
            continue
        f32 = "f32" in kind.dtypes and rejected(case, "f32", kind)
        for dtype in kind.dtypes:
            if dtype == "bf16" and "f32" in kind.dtypes and not whole and not only and index % 2:
                continue
            implied = dtype == "f64" and f32 > 10 and (case.drawn or not whole)
            if f32 if dtype == "f32" else implied or rejected(case, dtype, kind):
                verdict = "rejected"
            else:
                verdict = "missed" if dtype != "bf16" or exceeds_in_bf16(case, kind, wrong_by) else "below"
            rows.append((case.name, name, dtype, verdict))
    return rows, applying


def examine_all(folders, whole, pool):
    """What `examine` says of all cases, and of each mistake that none rejects so far: in the first that it applies to."""
    rows, first = [], {}
    for folder, (found, applying) in zip(folders, pool.map(examine, folders, [whole] * len(folders))):
        rows += found
        first |= {name: folder for name in applying if name not in first}
    missing = sorted(set(first) - {name for _, name, _, verdict in rows if verdict == "rejected"})
    more = pool.map(examine, [first[name] for name in missing], [whole] * len(missing), missing) if not whole else ()
    return rows + [row for found, _ in more for row in found if row[1] != "right"]


def check_program(program, folder, name, dtype):
    """The exit status of skipv1-check for what mistake `name` computes."""
    torch.set_num_threads(1)
    kind = MISTAKES.get(name, Model)
    with tempfile.TemporaryDirectory() as out:
        run(Case(folder), dtype, kind, decoding=False).write(out, "F64" if dtype == "f64" else "F32")
        return subprocess.run([program, folder, "--actual", out, "--dtype", dtype], capture_output=True).returncode


def stored(folder):
    return (pathlib.Path(folder) / "model.safetensors").exists()


def check_programs(program, folders, rows, pool, whole):
    """Disagreements of skipv1-check with the matrix: on the right model in every case, on each mistake in one."""
    by_name = {pathlib.Path(folder).name: folder for folder in folders}
    wanted = {(case, name, dtype): 0 for case, name, dtype, _ in rows
              if name == "right" and (whole or DTYPES.index(dtype) == sum(case.encode()) % len(DTYPES))}
    wanting = set(MISTAKES if whole else UNNAMED) - set(DECODING)
    for case, name, dtype, verdict in rows:
        if verdict == "rejected" and dtype == "f32" and name in wanting and stored(by_name[case]):
            wanting.remove(name)
            wanted[case, name, dtype] = 1
    jobs = [pool.submit(check_program, program, by_name[case], name, dtype) for case, name, dtype in wanted]
    return [f"skipv1-check: exit status {job.result()}, expected {status}: {name} in {case}, {dtype}"
            for job, ((case, name, dtype), status) in zip(jobs, wanted.items()) if job.result() != status]


DECODING = ("positions_restart", "mask_unaligned", "cache_forgets")  # what the whole pass does not show


def write_table(path, rows):
    """Mistake x case; a letter for each dtype: R rejected, - below its bound, M missed."""
    names = sorted({case for case, *_ in rows})
    cell = {}
    for case, name, _, verdict in rows:
        cell[name, case] = cell.get((name, case), "") + {"rejected": "R", "holds": "h", "below": "-", "missed": "M"}[verdict]
    with open(path, "w") as out:
        for name in ["right", *MISTAKES]:
            print(f"{name:28}", *(f"{cell.get((name, case), ''):3}" for case in names), sep=" ", file=out)
        for i, case in enumerate(names):
            print(f"column {i + 1}: {case}", file=out)


def summarize(rows):
    print(f"{'mistake':28}{'cases':>6}{'f64':>6}{'f32':>6}{'bf16':>6}   rejected in")
    for name in MISTAKES:
        mine = [row for row in rows if row[1] == name]
        counts = [sum(row[2:] == (dtype, "rejected") for row in mine) for dtype in DTYPES]
        print(f"{name:28}{len({row[0] for row in mine}):6}" + "".join(f"{n:6}" for n in counts))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--check")
    parser.add_argument("--table")
    parser.add_argument("--whole", action="store_true")
    args = parser.parse_args()
    folders = args.cases or sorted(str(path.parent) for path in SUITE.glob("*/config.json"))
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        rows = examine_all(folders, args.whole, pool)
        disagreements = check_programs(args.check, folders, rows, pool, args.whole or args.cases) if args.check else []
    summarize(rows)
    if args.table:
        write_table(args.table, rows)
    failures = [f"{name} in {case}, {dtype}: {verdict}" for case, name, dtype, verdict in rows
                if verdict == "missed" or name == "right" and verdict != "holds"]
    found = {name for _, name, _, verdict in rows if verdict == "rejected"}
    failures += [f"{name}: no case rejects it" for name in MISTAKES if not args.cases and name not in found]
    failures += disagreements
    print(*failures, sep="\n", end="\n" if failures else "")
    counts = {dtype: sum(d == dtype and v == "rejected" and n != "right" for _, n, d, v in rows) for dtype in DTYPES}
    print(f"{len(MISTAKES)} mistakes, {len(folders)} cases; rejected: " + ", ".join(f"{d} {n}" for d, n in counts.items()) +
          f"; {sum(v == 'below' for *_, v in rows)} below a bf16 bound; {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
