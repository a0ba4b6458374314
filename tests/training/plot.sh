#!/bin/sh
# Usage: plot.sh PROGRAMS WORK TEXT. A run's rows are of one sample, and what skipv1-plot makes of runs, tables of heads and results.
set -eu
. "$(dirname "$0")/../begin.sh"

# Weights that do not change have one held-out loss in all rows; that of the whole held-out text is the result's.
tiny="--text $text --width 16 --layers 2 --heads 2 --length 16 --batch 2 --steps 2 --evaluate-every 1 --evaluate-windows 2 --peak 1e-12"
one_sample() {
  [ "$(sed 1d "$1/log.csv" | cut -d, -f6 | sort -u | wc -l)" = 1 ] || fail "$1: rows of several samples: $(cut -d, -f6 "$1/log.csv")"
  [ "$(number "$1/result.json" final_tokens)" -gt 32 ] || fail "$1: not of the whole held-out text: $(cat "$1/result.json")"
  [ "$(number "$1/result.json" final_nats_per_token)" != "$(sed -n 2p "$1/log.csv" | cut -d, -f6)" ] || fail "$1: the sample's loss"
}
run train $tiny --variant mha --out mha
one_sample mha
run uptrain run mha --text "$text" --length 16 --batch 2 --steps 2 --evaluate-every 1 --evaluate-windows 2 --peak 1e-12 --out uptrained
one_sample uptrained

# Results are points, each called by its folder; CSV and JSON Lines stay lines.
wrong() {
  expected=$1
  shift
  status=0
  "$programs/skipv1-plot" "$@" --out none.png > out 2> err || status=$?
  [ $status -eq 2 ] || fail "$*: status $status"
  [ "$(wc -l < err)" -eq 1 ] || fail "$*: says $(cat err)"
  grep -q -- "$expected" err || fail "$*: says $(cat err)"
  [ ! -e none.png ] && [ ! -e none.svg ] || fail "$*: wrote something"
}
run plot mha/result.json uptrained/result.json --x cache_bytes_per_token --y final_nats_per_token --out cache.svg
grep -q "^cache.svg .*: 2 points$" out || fail "$(cat out)"
for name in mha uptrained "cache, bytes per token" $(number mha/result.json cache_bytes_per_token); do
  grep -q ">$name</text>" cache.svg || fail "no $name in the figure"
done
# A point is no beginning of a curve: all of them are in the figure, however the first one falls.
for point in 100:3 200:2.1 300:2.0; do
  mkdir "cache${point%:*}"
  echo "{\"cache_bytes_per_token\": ${point%:*}, \"final_nats_per_token\": ${point#*:}}" > "cache${point%:*}/result.json"
done
run plot cache*/result.json --x cache_bytes_per_token --y final_nats_per_token --out points.svg
sed -n 's/.* x="\([^"]*\)" y="\([^"]*\)".*>cache[123]00<.*/\1 \2/p' points.svg > places
awk '$1 < 0 || $1 > 900 || $2 < 0 || $2 > 600 { exit 1 } END { exit NR != 3 }' places || fail "points outside the figure: $(cat places)"
grep -q "nats per token</text>" points.svg || fail "the axis is of points: $(grep rotate points.svg)"
wrong "^skipv1-plot: --from: of curves; the results of runs are points, which have no beginning$" cache*/result.json --x \
  cache_bytes_per_token --y final_nats_per_token --from 0.1
wrong "^skipv1-plot: --title: has 301 bytes: must be at most 300$" mha --title "$(printf %301s x)"
echo '{"seconds": 1, "valid_bytes": null, "variant": "mha"}' > few.json
echo '[1, 2]' > list.json
echo '{"variant": "mha"}' > words.json
wrong '^skipv1-plot: few.json: no column of numbers "tokens"; there are seconds$' few.json --y seconds
wrong "^skipv1-plot: list.json: expected a run's result, an object, found \[1,2\]$" list.json
wrong "^skipv1-plot: words.json: expected a run's result, found no number$" words.json

# Runs of one variant are told apart by what their attention is set to; runs of several variants have their folders' names.
for ratio in 25 50; do run train ${tiny%%--heads 2*} --heads 4 ${tiny##*--heads 2} --variant skipv1 --skip-ratio 0.$ratio --out ratio$ratio; done
run plot ratio25/result.json ratio50/result.json mha/result.json --x cache_bytes_per_token --y final_nats_per_token --out ratios.svg
for name in "ratio25, skip_ratio 0.25" "ratio50, skip_ratio 0.5" mha; do
  grep -q ">$name</text>" ratios.svg || fail "no $name: $(grep ">[a-z0-9]*ratio" ratios.svg)"
done
run plot ratio25/result.json mha/result.json --x cache_bytes_per_token --y final_nats_per_token --out ratios.svg
grep -q ">ratio25</text>" ratios.svg || fail "one of its variant: $(grep ratio ratios.svg)"

# The y axis leaves out a line's first steep part, says so, and shows all if asked.
{ echo step,loss; for step in 0 1 2 3 4 5 6 7 8 9 10 11; do echo "${step}00,$([ $step -gt 1 ] && echo "2.$((20 - step))" || echo 9)"; done; } > falls.csv
run plot falls.csv --x step --out falls.svg
grep -q "training loss, nats per token (axis: after the first 10 %)<" falls.svg && ! grep -q ">8</text>" falls.svg || fail "all of the fall"
run plot falls.csv --x step --from 0 --out all.svg
grep -q "training loss, nats per token<" all.svg && grep -q ">8</text>" all.svg || fail "not all of the fall"
run plot falls.csv --x step --from 0.5 --out half.svg
grep -q "(axis: after the first 50 %)<" half.svg || fail "not the half asked for"
run plot falls.csv --x step --references 9 --out reference.svg  # it needs the room
grep -q "training loss, nats per token<" reference.svg || fail "a reference is out of sight"
wrong "^skipv1-plot: --from: 1.5: must be 0 to 1$" falls.csv --from 1.5
wrong "^skipv1-plot: --y-range excludes --from$" falls.csv --from 0.5 --y-range 0 1

# A table of heads, as a map and as text; what is none is refused as by skipv1-train.
printf '{"values": ["0.0 0.1 0.2 0.3",\n            "1.0 1.1 0.2 0.3",\n            "2.0 2.1 0.2 1.1"]}\n' > table.json
run plot --routing table.json --out table.svg
grep -q "^  layer 2  keys 2.0   2.1   2.2   2.3   values 2.0   2.1   0.2   1.1   owns 4, 2$" out || fail "the table as text: $(cat out)"
grep -q ">1.1</text>" table.svg && grep -q ">table</text>" table.svg || fail "the table as a map"
run plot --routing skipv1 --layers 6 --heads 8 --kv-heads 4 --out skipv1.png
[ "$(grep -c "^  layer " out)" = 6 ] && grep -q "values 5.0   5.0   5.1   5.1   0.2 .* owns 4, 2$" out || fail "a variant: $(cat out)"
for variant in mla denseformer resformer; do run plot --routing $variant --out $variant.svg; done
# A model has its table with it: a run, its checkpoint, its configuration, or a folder of transformers' format.
run train --text "$text" --width 16 --layers 3 --heads 4 --length 8 --batch 1 --steps 1 --variant table.json --out by-table
run plot --routing table.json --out table.svg
mv out by-table.txt
for model in by-table by-table/step-00000001 by-table/step-00000001/config.json; do
  run plot --routing $model --out model.svg
  tail -n +2 out > model.txt && tail -n +2 by-table.txt | cmp - model.txt || fail "$model: $(cat out)"
done
run plot --routing ./mha --out model.svg
grep -q ">mha: MHA</text>" model.svg || fail "a run as a map: $(cat model.svg)"
run export mha --out transformers
run plot --routing transformers --out model.svg
wrong "^skipv1-plot: --layers: of a variant or a table; ./mha is a model, which has its own$" --routing ./mha --layers 3
mkdir nothing
wrong "^skipv1-plot: nothing: neither a model (no config.json) nor a run with a checkpoint$" --routing nothing
wrong "^skipv1-plot: variant table: no values are given: name the file of a table, which ends in .json$" --routing table
refused() { sed "s/\"2.0 2.1 0.2 1.1\"/\"$1\"/" table.json > bad.json && wrong "^skipv1-plot: bad.json: $2" --routing bad.json; }
refused "2.0 2.1 0.2" "table: layer 2 has 3 value heads: must be layer 0's, 4$"
refused "2.0 2.1 0.2 3.1" "table: layer 2 value head 3 reads layer 3: only this and earlier layers can be read$"
refused "2.0 2.1 0.2 1.4" "table: layer 2 value head 3 reads head 4 of layer 1: there are 4$"
refused "0.0 0.1 0.2 2.1" "routing: layer 2 would compute value head 0, which nobody reads$"
refused "2.0 2.1 0.2 x" "\"values\", layer 2: \"x\": expected LAYER.HEAD"
echo '{"values": [""]}' > bad.json
wrong '^skipv1-plot: bad.json: "values", layer 0: has no head$' --routing bad.json
wrong "^skipv1-plot: table.json: table: values of 3 layers: must be --layers, 4$" --routing table.json --layers 4
wrong "^skipv1-plot: table.json: --heads 6 is not a multiple of layer 0's 4$" --routing table.json --heads 6
wrong "^skipv1-plot: variant yoco: --layers 3 is odd: must be even$" --routing yoco --layers 3
wrong "^skipv1-plot: 1000 layers of 4 heads: a map has 1 to 128 of each$" --routing skipv1 --layers 1000
wrong '^skipv1-plot: attention variant "what" is unknown; known are mha, ' --routing what
wrong "^skipv1-plot: nowhere.json: cannot be read: " --routing nowhere.json
wrong "^skipv1-plot: --routing: 2 tables: must be one$" --routing table.json skipv1
wrong "^skipv1-plot: --layers requires --routing$" table.json --layers 3

# The table and the commands of README.md, as they stand there, on one step each.
readme=${text%/skipv1/*}/README.md
mkdir readme
cd readme
cp "$text" book.txt
sed -n '/^```json/,/^```/p' "$readme" | grep -v '^```' > table.json
sed -n '/^```sh/,/^```/p' "$readme" | grep '^skipv1-\(plot\|train\) .*\(table\|run-mha\)' | sed 's/ *#.*//; /^skipv1-train/s/$/ --steps 1 --batch 1 --length 32/' > commands
[ "$(wc -l < commands)" = 4 ] || fail "README.md: $(cat commands)"
PATH=$programs:$PATH sh -e commands > out 2> err || fail "README.md: $(cat err)"
[ -s table.png ] && [ -s loss-over-cache.png ] && grep -q ": 2 points$" out || fail "README.md: $(cat out)"
