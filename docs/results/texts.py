"""Losses of trained models over several held-out texts: SkipV1's minus MHA's of the same seed, with intervals of 95 % over seeds.

    python3 docs/results/texts.py texts.json                                             # a table of read-once.md
    python3 docs/results/texts.py texts-157M.json --by-text                              # another, a row for each text
    python3 docs/results/texts.py texts.json --collect RESULTS.json EVAL.json ...        # adds what `skipv1-eval --json` wrote of kept models

RESULTS.json is of `skipv1-experiment ... --keep`, which keeps a model in a folder that is named by its label and seed; its own held-out text comes first.
"""
import json
import math
import os
import statistics
import sys

T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)  # Student's t by degrees of freedom 1 ...


def over_seeds(values):
    if len(values) < 3:
        return ", ".join(f"{x:+.4f}" for x in values) + f", n = {len(values)}"
    mean, half = statistics.mean(values), T95[len(values) - 2] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}], n = {len(values)}"


def collect(file, results_file, evaluations):
    kept = json.load(open(file)) if os.path.exists(file) else []
    stem = os.path.splitext(os.path.basename(results_file))[0]
    runs = {f"{stem}-{run['label'].replace('/', '-')}-{run['seed']}": run for run in json.load(open(results_file))["runs"]}
    for name in evaluations:
        evaluation = json.load(open(name))
        run = runs[os.path.basename(evaluation["model"])]
        entry = next((x for x in kept if (x["label"], x["seed"]) == (run["label"], run["seed"])), None)
        if entry is None:
            losses = {"prose-valid.txt": run["final_nats_per_token"]}
            entry = {"label": run["label"], "seed": run["seed"], "tokens": run["tokens"][-1], "parameters": run["parameters"], "nats_per_token": losses,
                     "predicted_tokens": {"prose-valid.txt": run["final_tokens"]}}
            kept.append(entry)
        text = os.path.basename(evaluation["text"])
        entry["nats_per_token"][text] = evaluation["loss"]
        entry.setdefault("predicted_tokens", {})[text] = evaluation["predicted_tokens"]
    kept.sort(key=lambda x: (x["label"], x["seed"]))
    with open(file, "w") as out:
        out.write(json.dumps(kept, indent=1) + "\n")


def pairs(runs):
    """Of each SkipV1 model its label and, of the seeds that MHA has, too, (MHA, SkipV1)."""
    for label in dict.fromkeys(run["label"] for run in runs if "/skipv1@" in run["label"]):
        mha, skipv1 = ({run["seed"]: run for run in runs if run["label"] == name} for name in (label.replace("/skipv1@", "/mha@"), label))
        yield label, [(mha[seed], skipv1[seed]) for seed in skipv1 if seed in mha]


def losses(seeds, text):
    mha, skipv1 = ([run["nats_per_token"][text] for run in of] for of in zip(*seeds))
    return [f"{statistics.mean(mha):.4f}", over_seeds([b - a for a, b in zip(mha, skipv1)])]


def table(runs):
    texts = list(runs[0]["nats_per_token"])
    print("| run | tokens trained on | " + " | ".join(f"{text}: mha | - mha's" for text in texts) + " |\n" + "|---" * (2 + 2 * len(texts)) + "|")
    for label, seeds in pairs(runs):
        row = [label, f"{seeds[0][1]['tokens'] / 1e6:.0f}M"]
        print("| " + " | ".join(row + [cell for text in texts for cell in losses(seeds, text)]) + " |")


def by_text(runs):
    for label, seeds in pairs(runs):
        print(f"| {label} | predicted tokens | mha | - mha's |\n|---|---|---|---|")
        for text in seeds[0][1]["nats_per_token"]:
            print("| " + " | ".join([text, str(seeds[0][1]["predicted_tokens"].get(text, "")), *losses(seeds, text)]) + " |")


if len(sys.argv) > 3 and sys.argv[2] == "--collect":
    collect(sys.argv[1], sys.argv[3], sys.argv[4:])
else:
    (by_text if sys.argv[2:] == ["--by-text"] else table)(json.load(open(sys.argv[1])))
