"""Writes the weights of a case that is drawn from its seed (docs/conformance.md, "Drawn cases"), in NumPy alone.

    python tests/conformance/pytorch/draw.py CASE --out DIR      # writes DIR/config.json, DIR/model.safetensors
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
    args.out.mkdir(parents=True, exist_ok=True)
    shutil.copy(case.folder / "config.json", args.out / "config.json")
    cases.write_safetensors(args.out / "model.safetensors", case.weights, case.manifest["drawn"])


if __name__ == "__main__":
    main()
