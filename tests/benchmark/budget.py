"""Where a training step's time goes, kernel by kernel at the card's full clock, from ncu's table of GPT-2's first step:
   ncu --profile-from-start off --clock-control none --cache-control none --metrics gpu__time_duration.sum,dram__bytes.sum --csv \\
       skipv1-benchmark-gpu --profile > step.csv
   python3 tests/benchmark/budget.py step.csv"""
import argparse
import collections
import csv
import re

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("csv", help="what ncu wrote")
arguments = parser.parse_args()

with open(arguments.csv) as lines:
    rows = list(csv.DictReader(line for line in lines if line.startswith('"')))
scale = {"ns": 1e-3, "us": 1, "ms": 1e3, "nsecond": 1e-3, "usecond": 1, "msecond": 1e3,
         "byte": 1e-9, "Kbyte": 1e-6, "Mbyte": 1e-3, "Gbyte": 1, "B": 1e-9, "KB": 1e-6, "MB": 1e-3, "GB": 1}
kernels = {}  # by ncu's number: name, us, GB, grid
for row in rows:
    if not row["ID"].isdigit():
        continue
    kernel = kernels.setdefault(row["ID"], [row["Kernel Name"], 0.0, 0.0, row["Grid Size"]])
    value = float(row["Metric Value"].replace(",", "")) * scale[row["Metric Unit"]]
    kernel[1 if row["Metric Name"].startswith("gpu__time") else 2] = value


def group(name, _):
    for pattern, what in [("attention_backward", "attention, backward"), ("attention_forward", "attention, forward"),
                          ("norm_backward|column_sum_whole", "norms, backward, and the ends of sums"), ("norm_forward", "norms, forward"),
                          ("column_sum", "biases' gradients"), ("cross_entropy", "loss"), ("adamw|total|Squares", "AdamW and norm"),
                          ("for_each_of_rows|map_kernel", "RoPE, SwiGLU, embeddings"),
                          ("linear_one_row|nvjet|gemm|cutlass|cublas|xmma|splitK", "products")]:
        if re.search(pattern, name, re.IGNORECASE):
            return what
    return "the rest"


def table(key, title):
    sums = collections.defaultdict(lambda: [0, 0.0, 0.0])
    for name, us, gb, grid in kernels.values():
        entry = sums[key(name, grid)]
        entry[0], entry[1], entry[2] = entry[0] + 1, entry[1] + us, entry[2] + gb
    print(f"{title:76} {'number':>6} {'ms':>8} {'share':>7} {'GB':>7}")
    whole = sum(kernel[1] for kernel in kernels.values())
    for name, (count, us, gb) in sorted(sums.items(), key=lambda item: -item[1][1]):
        print(f"{name[:76]:76} {count:6} {us / 1e3:8.2f} {us / whole:7.1%} {gb:7.2f}")
    print(f"{'all':76} {len(kernels):6} {whole / 1e3:8.2f} {1:7.0%} {sum(kernel[2] for kernel in kernels.values()):7.2f}\n")


table(group, "what")
table(lambda name, grid: f"{re.sub(r'<.*|[(].*|void |skipv1::|detail::|on_cuda::', '', name)[:56]} {grid}", "kernel, grid")
