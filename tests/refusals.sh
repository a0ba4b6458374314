#!/bin/sh
# Usage: refusals.sh TUTORIALS WORK TEXT. What the tutorials' programs say to arguments they cannot use: one line and status 2, before
# any work; to a training that diverges: its step, and the table of what there is; and where they have drawn.
set -eu
programs=$1 work=$2 tutorials=$(cd "$(dirname "$0")/../tutorials" && pwd)
rm -rf "$work"
mkdir -p "$work"
cp "$3" "$work/text.txt"
cd "$work"
: > file
fail() {
  echo "refusals.sh: $*" >&2
  exit 1
}
# wrong EXPECTED PROGRAM ARGUMENTS…
wrong() {
  expected=$1 program=$2
  shift 2
  status=0
  "$programs/$program" "$@" > out 2> err || status=$?
  [ $status -eq 2 ] || fail "$program $*: status $status"
  [ "$(wc -l < err)" -eq 1 ] && [ "$(wc -c < err)" -lt 250 ] || fail "$program $*: says $(cat err)"
  grep -q -- "$expected" err || fail "$program $*: says $(cat err)"
  [ ! -s out ] || fail "$program $*: prints before it refuses: $(head -c 200 out)"
  [ ! -e none ] || fail "$program $*: wrote something"
}

tiny="--text text.txt --vocab 256 --width 16 --layers 2 --heads 2 --batch 2 --length 16 --seeds 1"
job() {
  expected=$1
  shift
  wrong "$expected" 07-train-on-text $tiny "$@"
}
job "variants: skipv1 is there twice" --variants mha skipv1 skipv1 --out none
job "none/x.json: cannot be written" --json none/x.json --out none
job "file: nothing can be written into this folder" --out file
job "file/new: nothing can be written into this folder" --out file/new
job "out is empty$" --out ""
job "prompt is empty" --prompt "" --out none
job "seed: 18446744073709551616: must be" --seed 18446744073709551616 --out none
"$programs/07-train-on-text" $tiny --steps 6 --seed 010 --out ten > out 2> err || fail "--seed 010: $(cat err)"
grep -q "seeds 10 to 10$" out || fail "--seed 010 is not 10: $(cat out)"
grep -q "figures in ten" out && [ -s ten/validation.png ] || fail "no figures"
grep -q "nats per token (one seed)$" out || fail "one seed: $(cat out)"
# A table's picture is called by its file, wherever that lies.
mkdir sub sub/other
for file in "$(pwd)/a table.json" sub/table.json sub/other/table.json sub/mha.json; do
  echo '{"values": ["0.0 0.1", "1.0 0.1"]}' > "$file"
done
"$programs/07-train-on-text" $tiny --steps 6 --variants mha "$(pwd)/a table.json" sub/../sub/table.json sub/other/table.json sub/mha.json --out tables \
  --json tables.json > out 2> err || fail "tables: $(cat err)"
drawn="cache.svg routing-a_table.svg routing-mha-2.svg routing-mha.svg routing-table-2.svg routing-table.svg validation.svg"
[ "$(cd tables && ls *.svg | LC_ALL=C sort | xargs)" = "$drawn" ] && [ -s tables.json ] || fail "tables: $(ls tables)"
"$programs/07-train-on-text" --redraw tables.json --out redrawn > out 2> err || fail "tables: $(cat err)"
[ "$(ls tables)" = "$(ls redrawn)" ] || fail "tables redrawn: $(ls redrawn)"
wrong "^07-train-on-text: --layers is 0" 07-train-on-text --text text.txt --layers 0 --out none
wrong "^07-train-on-text: --width 100 is not a multiple of --heads 8$" 07-train-on-text --text text.txt --width 100 --heads 8 --out none
wrong "^07-train-on-text: sub/table.json: table: values of 2 layers: must be --layers, 4$" 07-train-on-text --text text.txt --variants mha sub/table.json --out none
long=$(printf '%064d' 0)
status=0
"$programs/07-train-on-text" $tiny --prompt "$long" --out none > out 2> err || status=$?
[ $status -eq 2 ] && [ ! -e none ] && grep -q "prompt has 64 tokens: must be 1 to 24" err || fail "a long prompt: $(cat err)"
wrong "prompt: the text is not UTF-8 at byte 1" 07-train-on-text --text text.txt --vocab 400 --prompt "$(printf 'a\377')" --out none
wrong "with --seeds 2: the last seed must be below" 07-train-on-text --text text.txt --seed 18446744073709551615 --seeds 2 --out none
wrong "length: 0: must be 1 to" 07-train-on-text --text text.txt --length 0 --out none

{ printf '\377' && cat text.txt; } > binary.txt
wrong "binary.txt: is no text: not UTF-8 at byte 0$" 07-train-on-text --text binary.txt --vocab 400 --out none
{ cat text.txt && printf '\377'; } > binary.txt  # in what is held out
wrong "binary.txt: is no text: not UTF-8 at byte $(wc -c < text.txt)$" 07-train-on-text --text binary.txt --out none
if [ -r /proc/meminfo ]; then
  wrong "batch 1000000000, --length [0-9]*: a step takes at least [0-9.]* GB of memory, [0-9.]* GB are left" 07-train-on-text --text text.txt \
    --batch 1000000000 --out none
  wrong "width 100000000, --layers [0-9]*: a training takes at least [0-9.]* GB" 07-train-on-text --text text.txt --width 100000000 --out none
fi

# A program that only draws says where.
echo '{"values": ["0.0 0.1", "1.0 0.1"]}' > table.json
draws() {
  expected=$1 program=$2
  shift 2
  "$programs/$program" "$@" > out 2> err && grep -q "$expected" out || fail "$program $*: $(cat out err)"
}
draws "^figures in drawn$" 05-mesa-learned --redraw "$tutorials/05-mesa-learned/full.json" --figures drawn
draws "^figures in drawn$" 07-train-on-text --redraw "$tutorials/07-train-on-text/result.json" --out drawn
draws "^drawn/timeline.png, drawn/timeline.svg (" 10-decoding-at-bandwidth --timeline "$tutorials/../docs/performance/one-kernel-h200.txt" --figures drawn
wrong "^07-train-on-text: table.json: \"text\" is missing$" 07-train-on-text --redraw table.json --out none
wrong "^05-mesa-learned: table.json: \"dim\" is missing$" 05-mesa-learned --redraw table.json --figures none

# A training that diverges: the table has the runs before it, which by its rate none is here.
status=0
"$programs/07-train-on-text" $tiny --peak 1e35 --steps 40 --out none > out 2> err || status=$?
[ $status -eq 2 ] && [ ! -e none ] || fail "divergence: status $status"
grep -q "mha, seed 1: .*step [0-9]*: the loss .*: the run has diverged" err || fail "divergence: $(cat err)"

wrong "none/x.json: cannot be written" 04-mesa-theorem --dim 2 --json none/x.json
wrong "file: nothing can be written into this folder" 04-mesa-theorem --dim 2 --figures file
wrong "file: nothing can be written into this folder" 02a-backward-pass --figures file
wrong "file: nothing can be written into this folder" 11-attention-step-by-step --from run.json --figures file
wrong "^04-mesa-theorem: --json and --figures are both none: must be two places$" 04-mesa-theorem --dim 2 --json none --figures none
wrong "^05-mesa-learned: --json and --keep are both ./none: must be two places$" 05-mesa-learned --json none --keep ./none
job "^07-train-on-text: --out and --json are both none: must be two places$" --out none --json none
cp table.json other.json
for program in 04-mesa-theorem 05-mesa-learned "07-train-on-text $tiny --variants mha table.json"; do
  wrong "^${program%% *}: table.json: is there, and without \"[a-z_]*\" no result of this program: numbers do not take its place$" $program --json table.json
  cmp table.json other.json
done
wrong "^07-train-on-text: --redraw excludes --json$" 07-train-on-text --redraw table.json --json table.json
wrong "^07-train-on-text: --json and --text are both text.txt: must be two places$" 07-train-on-text --text text.txt --json text.txt
wrong "dim: 13: must be 1 to 12" 04-mesa-theorem --dim 13
wrong "seed: \"1e3\": must be a whole number" 04-mesa-theorem --seed 1e3
wrong "none/x.json: cannot be written" 05-mesa-learned --json none/x.json
wrong "file: nothing can be written into this folder" 05-mesa-learned --figures file --keep none
wrong "absent/x.json: cannot be written" 05-mesa-learned --json absent/x.json --keep none
wrong "text.txt: no row of mha" 10-decoding-at-bandwidth --timeline text.txt --figures none
if [ -r /proc/meminfo ]; then
  wrong "widths 9999, --context 256, --batch 100000: to train [A-Za-z0-9]* takes at least [0-9.]* GB of memory, [0-9.]* GB are left" 05-mesa-learned \
    --widths 9999,6 --focus 6 --context 256 --batch 100000 --json none --keep none
fi
wrong "^05-mesa-learned: --figures: needs --part grid or all: no figure is of ablations alone$" 05-mesa-learned --part ablations --figures none
wrong "widths: 5 is there twice" 05-mesa-learned --widths 5,5 --focus 5
wrong "^05-mesa-learned: --focus 6 is none of --widths$" 05-mesa-learned --widths 5 --focus 6
wrong "^05-mesa-learned: --head-size is 3: RoPE needs an even head width$" 05-mesa-learned --head-size 3
draws "^SkipV1 of width 5, built by hand: " 05-mesa-learned --by-hand --widths 5
status=0
(
  ulimit -f 1  # for a full disk
  exec "$programs/05-mesa-learned" --dim 2 --context 2 --widths 2 --head-size 2 --steps 20 --batch 2 --seeds 2 --keep kept.jsonl > /dev/null
) 2> err || status=$?
[ $status -eq 2 ] && grep -q "^05-mesa-learned: kept.jsonl: cannot be written: [A-Z][a-z ]*$" err || fail "a full disk: status $status, $(cat err)"
wrong "attention: linear is there twice" 05-mesa-learned --attention linear,linear
wrong "widths: \"x\": must be a whole number" 05-mesa-learned --widths 5,x
wrong "none/x.png: cannot be written" 01-attention-and-its-cache --figure none/x.png
wrong "x.jpg: a figure's name must end in .png" 01-attention-and-its-cache --figure x.jpg
wrong "file: nothing can be written into this folder" 02-head-routing --figures file
wrong "file: nothing can be written into this folder" 03-validate-your-implementation --out file
wrong "file: nothing can be written into this folder" 09-grouped-latent-and-shared --figures file
