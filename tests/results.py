"""Rounded intervals in the prose of docs/results: each "-0.109 [-0.116, -0.102]", with two or three decimals, is a mean and an interval that a table prints with more.

    skipv1-experiment ... --table | python3 tests/results.py PAGE ...
"""
import re
import sys

NUMBER = r"[+-]?\d+\.\d+"
PATTERN = re.compile(rf"({NUMBER}) \[({NUMBER}), ({NUMBER})\]")


def triples(text):
    return [match.groups() for match in PATTERN.finditer(text.replace("\n", " "))]


def rounds_to(printed, quoted):
    """Whether each of three numbers is what was printed to fewer decimals; prose leaves out signs where it says "by"."""
    places = [len(x.split(".")[1]) for x in quoted]
    values = [[float(x) for x in three] for three in (printed, quoted)]
    signed = any(x[0] in "+-" for x in quoted)
    near = lambda a, b: all(abs(x - y) <= 0.51 * 10.0**-n for x, y, n in zip(a, b, places))
    return near(*values) or (not signed and near([-values[0][0], -values[0][2], -values[0][1]], values[1]))


def main(pages):
    printed, found, wrong = triples(sys.stdin.read()), 0, []
    for page in pages:
        for quoted in triples(open(page, encoding="utf-8").read()):
            found += 1
            if not any(rounds_to(x, quoted) for x in printed):
                wrong.append(f"{page}: no table has {quoted[0]} [{quoted[1]}, {quoted[2]}]")
    print(*wrong, f"{found} intervals in {len(pages)} pages", sep="\n")
    sys.exit(1 if wrong or found < 60 else 0)


main(sys.argv[1:])
