"""Where a kernel's warps wait, instruction by instruction: samples of ncu beside the scoreboards in the machine code.
   ncu --clock-control none --section SourceCounters --section WarpStateStats -k regex:decode_single --launch-skip 1 -c 1 \\
       --kill yes -o profile skipv1-benchmark-gpu-one-kernel --without-graph --only gpt2
   ncu --import profile.ncu-rep --page source --csv > source.csv
   cuobjdump -xelf all skipv1-benchmark-gpu-one-kernel           # cubins; compiled with -lineinfo they know source lines
   nvdisasm -hex -g -fun NUMBER KERNEL.cubin > kernel.sass       # the same kernel alone
   python3 tests/benchmark/stalls.py source.csv --sass kernel.sass

An instruction of sm_70 and later waits for the scoreboards in bits 116 to 121 of its 128 bits before it is issued; what takes
unknown time (loads, shuffles, special functions) counts one up, bits 110 to 112, until its result is there. Whoever waits for a
scoreboard waits for all that count on it."""
import argparse
import collections
import csv
import re

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("csv", type=argparse.FileType(), help="what ncu wrote")
parser.add_argument("--sass", type=argparse.FileType(), help="what nvdisasm wrote of the same kernel")
parser.add_argument("--most", type=int, default=20, help="instructions and lines to print (20)")
arguments = parser.parse_args()


def read_samples(file):
    """Samples per instruction: its text, how often it was executed, and samples by stall."""
    rows = list(csv.reader(file))
    head = next((i for i, row in enumerate(rows) if "Source" in row and "# Samples" in row), None)
    if head is None:
        parser.exit(2, f"stalls.py: {file.name}: no columns Source and # Samples: it is not of ncu --page source --csv with SourceCounters\n")
    names = rows[head]
    stalls = [name for name in names if name.startswith("stall_") and "Not Issued" not in name]
    number = lambda x: float(x.replace(",", "")) if x else 0.0
    result = []
    for row in rows[head + 1:]:
        entry = dict(zip(names, row))
        result.append((" ".join(entry["Source"].split()), number(entry["Instructions Executed"]), number(entry["# Samples"]),
                       {name[len("stall_"):]: number(entry[name]) for name in stalls}))
    return result


def read_sass(file):
    """Instructions of nvdisasm -hex -g: text, scoreboards waited for, scoreboard counted on or None, source line."""
    result, line, low = [], "", None
    for text in file:
        place = re.search(r'## File "([^"]+)", line (\d+)', text)
        first = re.match(r"\s+/\*([0-9a-f]{4,5})\*/\s+(.*?);\s+/\* 0x([0-9a-f]{16}) \*/", text)
        second = re.match(r"\s+/\* 0x([0-9a-f]{16}) \*/", text)
        if place:
            line = f"{place[1].rsplit('/', 1)[-1]}:{place[2]}"
        elif first:
            low = " ".join(first[2].split())
        elif second and low is not None:
            control = int(second[1], 16) >> 41
            waits = {i for i in range(6) if control >> 11 + i & 1}
            result.append((low, waits, None if control >> 5 & 7 == 7 else control >> 5 & 7, line))
            low = None
    if not result:
        parser.exit(2, f"stalls.py: {file.name}: no instructions with their bits: it is not of nvdisasm -hex\n")
    return result


samples = read_samples(arguments.csv)
sass = read_sass(arguments.sass) if arguments.sass else [(text, set(), None, "") for text, *_ in samples]
if len(sass) != len(samples):
    parser.exit(2, f"stalls.py: {arguments.sass.name} has {len(sass)} instructions, {arguments.csv.name} has {len(samples)}: not the same kernel\n")
whole = sum(count for _, _, count, _ in samples)
if not whole:
    parser.exit(2, f"stalls.py: {arguments.csv.name}: no samples\n")
by_stall, by_line = collections.Counter(), collections.Counter()
for (_, _, count, stalls), (_, _, _, line) in zip(samples, sass):
    by_stall.update(stalls)
    by_line[line] += count
print(f"{len(samples)} instructions, {whole:.0f} samples\n")
for name, count in by_stall.most_common(10):
    print(f"{count / whole:6.1%}  {name}")
print("\nsamples, executions, waits for scoreboards, counts on, instruction, longest stall, line")
for i in sorted(range(len(samples)), key=lambda i: -samples[i][2])[:arguments.most]:
    text, executed, count, stalls = samples[i]
    _, waits, counts_on, line = sass[i]
    name = max(stalls, key=stalls.get)
    print(f"{count / whole:6.1%} {executed:14.0f}  {''.join(map(str, sorted(waits))) or '-':6} {'-' if counts_on is None else counts_on}  {text[:60]:60}  {name}  {line}")
if arguments.sass:
    print("\nsamples by source line")
    for line, count in by_line.most_common(arguments.most):
        print(f"{count / whole:6.1%}  {line}")
