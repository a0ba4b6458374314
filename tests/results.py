"""Rounded intervals and pairs in the prose of docs/results: each "-0.109 [-0.116, -0.102]" or "-0.117, -0.112, n = 2", with two or three decimals, is a mean with its interval, or
two seeds' differences, that a table prints with more.

    skipv1-experiment ... --table | python3 tests/results.py PAGE ...

Also, the frontier that pages name is that of frontier.json beside them: so many models, at those shares of MHA's cache.
And every key of those files is named in docs/spec/formats.md.
"""
import json
import pathlib
import re
import sys

NUMBER = r"[+-]?\d+\.\d+"
PATTERNS = (rf"({NUMBER}) \[({NUMBER}), ({NUMBER})\]", rf"({NUMBER}), ({NUMBER})(?:, n = 2|\): the sign)")


def quotations(text):
    return [match.groups() for pattern in PATTERNS for match in re.finditer(pattern, text.replace("\n", " "))]


def rounds_to(printed, quoted):
    """Whether each number is what was printed to fewer decimals; prose leaves out signs where it says "by"."""
    places = [len(x.split(".")[1]) for x in quoted]
    values = [[float(x) for x in each] for each in (printed, quoted)]
    signed = any(x[0] in "+-" for x in quoted)
    near = lambda a, b: all(abs(x - y) <= 0.51 * 10.0**-n for x, y, n in zip(a, b, places))
    other = [-values[0][0], *(-x for x in reversed(values[0][1:]))]
    return len(printed) == len(quoted) and (near(*values) or (not signed and near(other, values[1])))


def frontier_shares(file):
    """The caches, in % of MHA's, of the models for which no other has at most their cache and a lower mean loss."""
    losses = {}
    for run in json.loads(file.read_text(encoding="utf-8"))["runs"]:
        losses.setdefault((run["label"], run["cache_bytes_per_token"]), []).append(run["final_nats_per_token"])
    points = {(name, size): sum(x) / len(x) for (name, size), x in losses.items()}
    mha = max(size for name, size in points if name.startswith("mha@"))
    best = [size for (_, size), loss in points.items() if not any(s <= size and x < loss for (_, s), x in points.items())]
    return [round(100 * size / mha) for size in sorted(best)]


def wrong_frontiers(pages):
    """What is wrong with the pages' lists, of which there are two."""
    file, found = pathlib.Path(pages[0]).parent / "frontier.json", 0
    for page in pages:
        for named in re.findall(r"\*\*(?:On|Everything on) the frontier\b.*?:((?: [\w %-]+ \(\d+ %[^)]*\),?)+)", pathlib.Path(page).read_text(encoding="utf-8")):
            found += 1
            shares = [int(x) for x in re.findall(r"\((\d+) %", named)]
            if shares != frontier_shares(file):
                yield f"{page}: a frontier at {shares} % of MHA's cache, in {file.name} it is at {frontier_shares(file)} %"
    if found < 2:
        yield f"{found} lists of the frontier were found, instead of two"


def keys_of(value):
    """Names in a file of results, but for those of a configuration."""
    for item in value if isinstance(value, list) else ():
        yield from keys_of(item)
    for key, item in value.items() if isinstance(value, dict) else ():
        yield key
        if key != "config":
            yield from keys_of(item)


def unnamed_keys(folder):
    """What docs/spec/formats.md does not say of the files of skipv1-experiment and of tutorials."""
    root = folder.parents[1]
    named = set(re.findall(r"`(\w+)`", (root / "docs/spec/formats.md").read_text(encoding="utf-8")))
    of_tutorials = [file for file in sorted(root.glob("tutorials/*/*.json")) if not file.name.startswith("profile")]
    if len(of_tutorials) < 4:
        yield f"{root}/tutorials: {len(of_tutorials)} files of results"
    for file in sorted(folder.glob("*.json")) + of_tutorials:
        results = json.loads(file.read_text(encoding="utf-8"))
        ours = file in of_tutorials or (file.name != "pytorch.json" and "experiment" in results)
        for key in sorted(set(keys_of(results)) - named if ours else ()):
            yield f'{file}: docs/spec/formats.md does not name its key "{key}"'


def main(pages):
    folder = pathlib.Path(pages[0]).parent
    printed, found, wrong = quotations(sys.stdin.read()), 0, [*wrong_frontiers(pages), *unnamed_keys(folder)]
    for page in pages:
        for quoted in quotations(open(page, encoding="utf-8").read()):
            found += 1
            if not any(rounds_to(x, quoted) for x in printed):
                wrong.append(f"{page}: no table has {quoted}")
    print(*wrong, f"{found} intervals and pairs in {len(pages)} pages", sep="\n")
    sys.exit(1 if wrong or found < 60 else 0)


main(sys.argv[1:])
