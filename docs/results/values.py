"""The tables of values.md: what files of `skipv1-values --json` say, one file for each seed of the training, with intervals of 95 % over seeds.

    python3 docs/results/values.py FIRST.json SECOND.json THIRD.json
"""
import json
import math
import statistics
import sys

T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)  # Student's t by degrees of freedom 1 ...


def over_seeds(values):
    """The seeds' values, and of three or more their mean with its interval."""
    each, n = ", ".join(f"{x:+.4f}" for x in values), len(values)
    if n < 3:
        return f"| {each} | |"
    half = T95[n - 2] * statistics.stdev(values) / math.sqrt(n)
    mean = statistics.mean(values)
    return f"| {each} | {mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}] |"


def main(files):
    seeds = [json.load(open(file)) for file in files]
    print(f"{len(seeds)} seeds, {seeds[0]['windows']} windows of {seeds[0]['length']} tokens each.")
    for m, model in enumerate(seeds[0]["models"]):
        name, of = model["variant"], [seed["models"][m] for seed in seeds]
        print(f"\n| {name} | seed by seed | mean |\n|---|---|---|")
        print("| loss of the windows", over_seeds([x["loss"]["mean"] for x in of]).replace("+", ""))
        for what in model["replaced"]:
            print("|", what, over_seeds([x["replaced"][what]["mean"] for x in of]))
        layers = range(len(model["read_out"]))
        print(f"\n| {name}, mean of seeds | " + " | ".join(f"layer {l}" for l in layers) + " |\n" + "|---" * (1 + len(layers)) + "|")
        rows = [("read_out", what, f"$R^2$: {what}") for what in ("token", "before", "position")]
        rows += [("similarity", what, f"cosine of {what}") for what in ("heads", "tokens") if "similarity" in model]
        for part, what, title in rows:
            print(f"| {title} | " + " | ".join(f"{statistics.mean(x[part][l][what] for x in of):.2f}" for l in layers) + " |")
        if "minus_first" in model:
            print(f"\n| {name} - {seeds[0]['models'][0]['variant']}, tokens | how many | seed by seed | mean |\n|---|---|---|---|")
            for kind, value in sorted(model["minus_first"].items(), key=lambda x: [int(w) if w.isdigit() else w for w in x[0].split()]):
                if value["tokens"]:
                    print(f"| {kind} | {value['tokens']}", over_seeds([x["minus_first"][kind]["mean"] for x in of]))


main(sys.argv[1:])
