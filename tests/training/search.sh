#!/bin/sh
# Usage: search.sh PROGRAMS WORK TEXT. A tiny search over tables: it owns what it says, goes on to the same ledger where it stopped,
# trains its best again, and its tables are variants of the programs; what is no table is refused.
set -eu
. "$(dirname "$0")/../begin.sh"
head -c 20000 "$text" > text.txt
search() { "$programs/skipv1-experiment" search "$@" > out 2> err || fail "skipv1-experiment search $* says: $(cat err)"; }
wrong() {
  expected=$1
  shift
  status=0
  "$@" > out 2> err || status=$?
  [ $status -eq 2 ] && [ "$(wc -l < err)" -eq 1 ] && grep -q -- "$expected" err || fail "$*: status $status, says $(cat err)"
}
ledger() { grep -E '"(label|seed|final_nats_per_token|made|owned_values|values)":|^ *"[0-9]\.[0-9]' "$1"; }

short="--short --text text.txt --tokenizer-folder vocabularies --seeds 1"
search $short --out whole.json
[ "$(grep -c '"made": "' whole.json)" = 18 ] || fail "tables: $(grep -c '"made": "' whole.json)"
[ "$(grep -c '"owned_values": 36' whole.json),$(grep -c '"owned_values": 32' whole.json)" = 12,6 ] || fail "other numbers of owned heads"
ledger whole.json > a
search $short --out whole.json
ledger whole.json > b && cmp a b && [ ! -s err ] || fail "the second call did something: $(cat err)"

# Stopped after a first part, then again: the same tables, parents and losses.
search $short --out parts.json --tables 2
grep -q '"label": "half/1"' parts.json && ! grep -q '"label": "half/2"' parts.json || fail "not two tables"
search $short --out parts.json --budget 1e-6
grep -q "not done yet: 12 tables" err || fail "not stopped: $(cat err)"
search $short --out parts.json
ledger parts.json > b && cmp a b || fail "a stopped search ends elsewhere"

# The best again, at another size.
search $short --out whole.json --retrain 10M-13M --found 2 --random 1
[ "$(grep -c '"label": "10M-13M/' whole.json)" = 14 ] || fail "trained again: $(grep '"label": "10M-13M/' whole.json)"
search --out whole.json --table --figure search.png --save-tables tables --found 1
grep -q "^Trained again, [0-9.]*k to [0-9.]*k parameters, [0-9]* tokens:$" out && grep -q "^Runs of --short" out && [ -s search-order.png ] && [ -s search-source.svg ] && [ -s search-10M-13M.png ] || fail "no table or figure"
# A point's place in the figure is its table's number, wherever the file has it.
sed 's|"half/1"|"half/none"|; s|"half/2"|"half/1"|; s|"half/none"|"half/2"|' whole.json > named.json
search --out named.json --figure named.png
cmp -s search-order.svg named-order.svg && fail "half/1 and half/2 in each other's place: their points are not"
[ "$(ls tables | wc -l)" = 3 ] || fail "tables: $(ls tables)"
# At every size beside the same six: five variants and the table whose routed heads all read layer 0.
search $short --out whole.json --retrain 42M-26M --found 1 --random 0
[ "$(grep -c '"label": "42M-26M/' whole.json)" = 9 ] || fail "trained again: $(grep '"label": "42M-26M/' whole.json)"

# A table found is a variant: trained, resumed and evaluated, and its configuration holds it.
table=$(ls tables/half-*.json)
small="--text text.txt --width 32 --layers 8 --heads 8 --length 16 --batch 2"
"$programs/skipv1-train" $small --variant "$table" --steps 2 --out run > out 2> err || fail "$(cat err)"
grep -q '"variant": "table"' run/step-00000002/config.json || fail "no table in the configuration"
"$programs/skipv1-eval" run --text text.txt --batch 2 > out 2> err || fail "$(cat err)"
"$programs/skipv1-generate" run --prompt The --count 3 > out 2> err || fail "$(cat err)"

# A run to be resumed is compared by the table, wherever its file lies.
mkdir elsewhere && cp "$table" elsewhere/same.json
"$programs/skipv1-train" --out run --resume --variant elsewhere/same.json > out 2> err || fail "$(cat err)"
cp "$table" tables/kept
cp "$(ls tables/skipv1-cache-*.json | head -1)" "$table"
wrong "$table: not the table of the run to be resumed" "$programs/skipv1-train" --out run --resume --variant "$table"
cp tables/kept "$table" && rm -r tables/kept elsewhere
wrong "variant is mha, the run to be resumed has" "$programs/skipv1-train" --out run --resume --variant mha

# A peak rate is the one that is meant, with as many digits as it has.
experiment="$programs/skipv1-experiment"
for peak in 1.0000000001e-3 1.40000000000001e-3; do
  wrong "peaks $peak: no run has it; there are 5e-4, 1e-3, 1.4e-3," "$experiment" recall --short --peaks $peak --out none
done
wrong "peaks 3.0000000001e-1: no run has it; there are" "$experiment" recall --short --peaks 0.30000000001 --out none
run experiment recall --short --only 8-pairs/mha --peaks 0.004,2.8e-3 --out recall.json
wrong "peaks 1.0000000001e-3: none of the results has it; there are 2.8e-3, 4e-3$" "$experiment" recall --peaks 1.0000000001e-3 --out recall.json --table
# What more layers change: a picture of each model at three depths, a table where --against's is, too.
run experiment rates --short --text text.txt --only l2-26M/skipv1,l4-26M/skipv1,l16-26M/skipv1 --peaks 1e-3 --seeds 1 --out layers.json \
  --table --figure depths.png
grep -q "^No table of what more layers change: mha is not there at three depths, as skipv1 is.$" out || fail "layers: $(cat out)"
[ "$(ls depths* | tr '\n' ' ')" = "depths-layers.png depths-layers.svg " ] || fail "pictures of layers: $(ls depths*)"
run experiment rates --out layers.json --table --against skipv1
grep -q "^| skipv1 | 2 to 4 | " out || fail "layers: $(cat out)"
wrong "figure: needs results of one model at three peak rates .* or at three depths .*; there are none$" "$experiment" rates --out layers.json \
  --only l2-26M --figure none.png

# Refused.
wrong "must be --layers, 4" "$programs/skipv1-train" --text text.txt --width 32 --layers 4 --heads 8 --length 16 --variant "$table" --out none
wrong "must be --kv-heads, 4" "$programs/skipv1-train" --text text.txt --width 32 --layers 8 --heads 4 --length 16 --variant "$table" --out none
sed 's/"0\.0 /"1.0 /' "$table" > later.json
wrong "layer 0 value head 0 reads layer 1: only this and earlier layers" "$programs/skipv1-train" $small --variant later.json --out none
sed 's/"0\.0 /"0,0 /' "$table" > comma.json
wrong 'comma.json: "values", layer 0: "0,0": expected LAYER.HEAD' "$programs/skipv1-train" $small --variant comma.json --out none
wrong "nowhere.json" "$programs/skipv1-train" $small --variant nowhere.json --out none
for option in "--only mha" "--peaks 1e-3" "--best 2" "--shard 1/2" "--keep mha"; do
  wrong "${option% *}: the experiment search has no list of runs" "$programs/skipv1-experiment" search $short --out none.json $option
done
wrong "merge: the experiment search has no list" "$programs/skipv1-experiment" search --out none.json --merge whole.json
wrong "only the experiment search has --tables" "$programs/skipv1-experiment" frontier $short --out none.json --tables 3
wrong "text.txt: nothing can be written into this folder: " "$programs/skipv1-experiment" search $short --out none.json --save-tables text.txt
wrong "recall: only the experiment search has --save-tables" "$programs/skipv1-experiment" recall --out none.json --save-tables none
wrong "recall: only the experiment uptraining has --from" "$programs/skipv1-experiment" recall --short --out none.json --from nofile
wrong "retrain: no tables are trained yet" "$programs/skipv1-experiment" search $short --out none.json --retrain 10M-13M
wrong "found: so many tables for --retrain or --save-tables" "$programs/skipv1-experiment" search $short --out none.json --found 2
wrong "random requires --retrain" "$programs/skipv1-experiment" search $short --out none.json --random 1
wrong "retrain 1T: there is no such size; there are 10M-13M, 42M-26M" "$programs/skipv1-experiment" search $short --out whole.json --retrain 1T
sed 's/"norm_epsilon": [0-9.e-]*/"norm_epsilon": 0.5/' whole.json > other.json
edited() { sed "$2" whole.json > edited.json && wrong "^skipv1-experiment: edited.json: run [0-9]* of [0-9]* .*\"$1" "$programs/skipv1-experiment" search --out edited.json --table; }
edited 'owned_values" is 35, its table owns 36$' 's/"owned_values": 36/"owned_values": 35/'
edited 'made": expected given, drawn, mutated or recombined, found "dreamt"$' 's/"made": "drawn"/"made": "dreamt"/'
wrong "other.json: holds .* with other settings" "$programs/skipv1-experiment" search $short --out other.json
[ ! -e none.json ] && [ ! -e none ] || fail "wrote something: $(ls)"
wrong "^skipv1-experiment: --out and --save-tables are both ./none: must be two places$" "$programs/skipv1-experiment" search $short --out none \
  --save-tables ./none
