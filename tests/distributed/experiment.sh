#!/bin/sh
# Usage: experiment.sh PROGRAMS WORK TEXT. An experiment in parts: together they are the whole list, each run once; joined they are
# its results; what does not belong together is not joined, and what is missing is said.
set -eu
. "$(dirname "$0")/../begin.sh"
head -c 20000 "$text" > text.txt
unset SLURM_ARRAY_TASK_ID SLURM_ARRAY_TASK_COUNT SLURM_ARRAY_TASK_MIN SLURM_ARRAY_TASK_STEP
experiment() { "$programs/skipv1-experiment" "$@" > out 2> err || fail "skipv1-experiment $* says: $(cat err)"; }
wrong() {
  expected=$1
  shift
  status=0
  "$programs/skipv1-experiment" "$@" > out 2> err || status=$?
  [ $status -eq 2 ] && [ "$(wc -l < err)" -eq 1 ] && grep -q -- "$expected" err || fail "$*: status $status, says $(cat err)"
}
losses() { grep -E '"(label|seed|final_nats_per_token)":' "$1"; }
runs() { grep -c '"label":' "$1"; }

short="point-bytes --short --text text.txt --seeds 1 --only mha,skipv1,skipv0"
experiment $short --out whole.json
for part in 1 2; do experiment $short --out part.json --shard $part/3; done
SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_MIN=5 SLURM_ARRAY_TASK_COUNT=3 experiment $short --out part.json
[ "$(ls part* | tr '\n' ' ')" = "part-1-of-3.json part-2-of-3.json part-3-of-3.json " ] || fail "files: $(ls)"
[ "$(runs part-1-of-3.json)$(runs part-2-of-3.json)$(runs part-3-of-3.json)" = 111 ] || fail "parts of other sizes"
list="point-bytes --short --seeds 1 --only mha,skipv1,skipv0 --out joined.json"
experiment $list --merge part-1-of-3.json part-3-of-3.json
grep -q "2 runs; missing of 3 asked for, 1: skipv1 (seed 1)" err || fail "not said what is missing: $(cat err)"
experiment point-bytes --short --out many.json --seeds 9 --merge part-1-of-3.json  # a few of many, and how many more
grep -q "^1 runs; missing of 36 asked for, 35: skipv1 (seed 1), .* and 29 more$" err || fail "a long line: $(cat err)"
experiment $list --merge part-2-of-3.json
grep -q "^3 runs$" err || fail "all are there: $(cat err)"
losses whole.json > a && losses joined.json > b && cmp a b || fail "other results"
experiment point-bytes --out joined.json --table
experiment $list --merge part-1-of-3.json  # the same once more changes nothing
losses joined.json > b && cmp a b
sed -E 's/"(wall_seconds|seconds|tokens_per_second)": [0-9.e+-]*/"\1": 7.5/' part-1-of-3.json > slower.json
grep -q '"wall_seconds": 7.5' slower.json || fail "no other times"
experiment $list --merge slower.json  # nor does another machine's time
losses joined.json > b && cmp a b

# A call that failed before its first run leaves no text behind.
printf '{"experiment": "point-bytes", "text": {"bytes": 1}, "runs": []}' > begun.json
experiment point-bytes --short --text text.txt --only mha --out begun.json
experiment $list --merge part-1-of-3.json  # an empty one among others, too
printf '{"experiment": "point-bytes", "text": {"bytes": 1}, "runs": []}' > begun.json
experiment $list --merge begun.json part-1-of-3.json

# What does not belong together.
wrong "part-1-of-3.json: mha, seed 1: a run of the short experiment: with --short it is joined" point-bytes --out long.json --merge part-1-of-3.json
[ ! -e long.json ] || fail "a refused merge has written"
cp joined.json before.json
sed 's/"peak": [0-9.e-]*/"peak": 0.5/' part-1-of-3.json > other.json
wrong "other.json: mha, seed 1: other settings than the experiment's with --short" $list --merge other.json
sed 's/"parameters": [0-9]*/"parameters": 5/' part-1-of-3.json > other.json
wrong 'other.json: mha, seed 1: "parameters" is another than in joined.json' $list --merge other.json
sed 's/"final_nats_per_token": [0-9.]*/"final_nats_per_token": 1.5/' part-1-of-3.json > other.json
wrong 'other.json: run 1 of 1 ("mha", seed 1): "bits_per_byte" is .*, of "final_nats_per_token"' $list --merge other.json
sed 's/"dtype": "f32"/"dtype": "bf16"/' part-1-of-3.json > other.json
wrong "dtype bf16 beside f32" $list --merge other.json
sed 's/"device": "cpu, /"device": "NVIDIA /' part-1-of-3.json > other.json
wrong "other.json: mha, seed 1: of --device cuda beside cpu in joined.json" $list --merge other.json
head -c 10000 text.txt > less.txt
experiment point-bytes --short --text less.txt --only mha --out less.json
wrong "less.json: results of another text than those in joined.json" $list --merge less.json
wrong "nowhere.json" $list --merge nowhere.json
cmp joined.json before.json || fail "a refused file changed the results"
for part in 0/3 4/3 3 a/b 1/; do wrong "shard is \"$part\": must be I/N" $short --out none.json --shard $part; done
SLURM_ARRAY_TASK_ID=9 SLURM_ARRAY_TASK_MIN=5 SLURM_ARRAY_TASK_COUNT=3 wrong "the array must have no gaps" $short --out none.json
wrong "best: of all results" $short --out none.json --shard 1/2 --best 2

# Runs of another device do not go on with a file; a model that cannot be uptrained, and what is none, are refused by option and
# place; names that are no run's get those that there are, the like first.
wrong "part-1-of-3.json: holds mha of --device cpu, so none of --device emulated goes beside it$" $short --out part-1-of-3.json --device emulated
"$programs/skipv1-train" --text text.txt --width 16 --layers 2 --heads 2 --length 16 --batch 2 --steps 1 --out model > out 2> err || fail "$(cat err)"
uptraining="uptraining --short --text text.txt --out none.json"
wrong "experiment: --from model: conversion to skipv1: variant is skipv1: must be mha or gqa$" $uptraining --from model
wrong "experiment: --from: nowhere: cannot be read" $uptraining --from nowhere
wrong "only 110M: the experiment has no run, group or model of that name; groups: 110M-26M, 10M-13M, .* and 5 more; models: mha, skipv1$" \
  rates --short --text text.txt --out none.json --only 110M
wrong "only yoco: the results have no run, group or model of that name; models: mha$" point-bytes --out part-1-of-3.json --table --only yoco
wrong "keep mha: the experiment has no run of that name; there are first/mha@4e-3, " uptraining-once --short --text text.txt --out none.json --keep mha
wrong "begun.json: there are no results yet$" point-bytes --out begun.json --table

# What fails in its first run leaves no file. (The model that it keeps for later runs is larger than a file may be.)
(ulimit -f 8; "$programs/skipv1-experiment" uptraining-once --short --text text.txt --out none.json --only first/mha > out 2> err) && fail "a model kept on a full disk"
grep -q "^skipv1-experiment: .*cannot be written: File too large$" err && [ ! -e none.json ] || fail "$(ls): $(cat err)"

# Texts too short are refused before the first run; of a text of which a part is held out the line says so.
head -c 100 text.txt > short.txt
last() { grep -q -- "$1" err && [ ! -e none.json ] || fail "$(cat err)"; }
"$programs/skipv1-experiment" frontier --short --only mha --text short.txt --out none.json > out 2> err && fail "trained on $(wc -c < short.txt) bytes"
last "^skipv1-experiment: short.txt (its last 10 bytes, held out): mha@5e-4: a text of 10 bytes is too short for 17 tokens, in any vocabulary$"
"$programs/skipv1-experiment" point-bytes --short --only mha --text short.txt --out none.json > out 2> err && fail "evaluated on ten bytes"
last "^skipv1-experiment: short.txt (its last 10 bytes, held out): mha: a text of 10 bytes is too short for 17 tokens, in any vocabulary$"
printf '%080d\n%020d\n' 1 2 > short.txt  # the held-out line is long enough
"$programs/skipv1-experiment" frontier --short --only mha --text short.txt --out none.json > out 2> err && fail "trained on $(wc -c < short.txt) bytes"
last "^skipv1-experiment: short.txt (its last [0-9]* bytes are held out): a vocabulary of 464 pieces cannot be trained on [0-9]* bytes: "
[ ! -e none.json ] || fail "wrote something"
