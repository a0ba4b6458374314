"""Writes a case that is drawn from its seed with its weights (docs/conformance.md, "Drawn cases"), in NumPy alone.

    python tests/conformance/pytorch/draw.py CASE --out DIR      # writes DIR/model.safetensors, and copies the case's other files
"""
import argparse
import pathlib
import shutil
import sys

import cases

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "docs/pytorch"))
from skipv1_conformance.draw import draw_weights  # noqa: E402, F401
from skipv1_conformance.draw import shapes  # noqa: E402, F401


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", metavar="CASE")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    case = cases.Case(args.case)
    if not case.drawn:
        parser.error(f"{case.folder}: its weights are stored, not drawn")
    if args.out.exists() and args.out.samefile(case.folder):
        parser.error(f"--out {args.out}: the case itself")
    args.out.mkdir(parents=True, exist_ok=True)
    for file in case.folder.iterdir():
        if file.is_file():
            shutil.copy(file, args.out)
    cases.write_safetensors(args.out / "model.safetensors", case.weights, case.manifest["drawn"])


if __name__ == "__main__":
    main()
