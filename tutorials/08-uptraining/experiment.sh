#!/bin/sh
# Uptraining, measured: an MHA model, a SkipV1Former of the same size from scratch, and the MHA model converted by each strategy and trained
# for a fifth of its steps.
# Usage: sh experiment.sh PROGRAMS TEXT WORK [STEPS [OPTIONS OF BOTH MODELS]]
set -eu
programs=$1 text=$2 work=$3 steps=${4:-600}
[ $# -gt 4 ] && shift 4 || set -- --vocab 2048 --width 128 --layers 6 --heads 8 --length 128 --batch 16
more=$((steps / 5)) every=$((steps / 20))
mkdir -p "$work"
program=$programs/skipv1-train script=experiment.sh
. "$(dirname "$0")/../blas_kernels.sh"
number() { sed -n "s/^ *\"$2\": \([^,]*\),*$/\1/p" "$1/result.json"; }
valid() { awk -F, -v step="$2" '$1 == step { printf "%.4f", $6 }' "$work/$1/log.csv"; }

for variant in mha skipv1; do
  "$programs/skipv1-train" --text "$text" --valid-share 0.05 --variant $variant "$@" --steps "$steps" --peak 4e-3 --out "$work/$variant" \
    --resume > "$work-$variant.txt"
done
further="--text $text --valid-share 0.05 --steps $more --peak 6e-4 --warm-up 0 --evaluate-every $every --evaluate-windows 0"
length=$(sed -n 's/^ *"length": \([0-9]*\),$/\1/p' "$work"/mha/step-*/run.json)
batch=$(sed -n 's/^ *"batch": \([0-9]*\),$/\1/p' "$work"/mha/step-*/run.json)
for strategy in mean_v mean_vo top_v top_vo svd; do
  "$programs/skipv1-uptrain" run "$work/mha" --strategy $strategy $further --length "$length" --batch "$batch" --out "$work/$strategy" \
    --resume > "$work-$strategy.txt"
done
"$programs/skipv1-train" --from "$work/mha" $further --length "$length" --batch "$batch" --out "$work/mha-on" --resume > "$work-mha-on.txt"

head -3 "$work-mha.txt"
echo
printf '%-22s %12s %18s %24s\n' "after $steps steps" parameters "cache bytes/token" "held out, nats per token"
for variant in mha skipv1; do
  printf '%-22s %12s %18s %24.4f\n' $variant "$(number "$work/$variant" parameters)" "$(number "$work/$variant" cache_bytes_per_token)" \
    "$(number "$work/$variant" final_nats_per_token)"
done
echo
printf '%-22s %9s %9s %9s %9s %9s\n' "the mha model, then" "+ 0 %" "+ 5 %" "+ 10 %" "+ 15 %" "+ 20 %"
for run in mean_v mean_vo top_v top_vo svd mha-on; do
  name=$run
  [ $run = mha-on ] && name="mha (no conversion)"
  printf '%-22s %9s %9s %9s %9s %9s\n' "$name" "$(valid $run 0)" "$(valid $run $every)" "$(valid $run $((2 * every)))" \
    "$(valid $run $((3 * every)))" "$(valid $run "$more")"
done
here=$(dirname "$0")
mkdir -p "$work/logs"
for run in mean_v mean_vo top_v top_vo svd mha-on; do
  awk -F, 'NR == 1 { for (i = 1; i <= NF; ++i) column[$i] = i; print "step,valid_nats_per_token"; next }
    $column["valid_nats_per_token"] { print $1 "," $column["valid_nats_per_token"] }' "$work/$run/log.csv" > "$work/logs/$run.csv"
done
for variant in mha skipv1; do number "$work/$variant" final_nats_per_token > "$work/logs/$variant.txt"; done
sh "$here/figure.sh" "$programs" "$work/logs" "$work/uptraining.png"
