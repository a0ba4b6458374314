#!/bin/sh
# Draws every figure of the tutorials, of docs/results and of docs/performance again, PNG and SVG, from the data kept in the tree; trains nothing.
# Usage: sh tutorials/figures.sh BUILD [TO]     for example  sh tutorials/figures.sh build/default
# TO is the tree to draw into; left out: this one.
set -eu
build=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
to=${2:-$root}
tutorials=$to/tutorials results=$to/docs/results programs=$build/bin
run() { "$@" > /dev/null; }
mkdir -p "$results" "$tutorials"
folder() { mkdir -p "$tutorials/$1/figures" && echo "$tutorials/$1/figures"; }

run "$build/tutorials/00-the-whole-idea" --figures "$(folder 00-the-whole-idea)"
run "$build/tutorials/01-attention-and-its-cache" --figure "$(folder 01-attention-and-its-cache)/cache.png"
run "$build/tutorials/02-head-routing" --figures "$(folder 02-head-routing)"
run "$build/tutorials/02a-backward-pass" --figures "$(folder 02a-backward-pass)"
run "$build/tutorials/04-mesa-theorem" --figures "$(folder 04-mesa-theorem)"
run "$build/tutorials/05-mesa-learned" --redraw "$root/tutorials/05-mesa-learned/full.json" --figures "$(folder 05-mesa-learned)"
run "$build/tutorials/05-mesa-learned" --redraw "$root/tutorials/05-mesa-learned/thirty.json" --figures "$(folder 05-mesa-learned)/thirty"
for name in gap pairs training; do rm -f "$tutorials/05-mesa-learned/figures/$name"-*; done # the text shows those of thirty seeds,
for name in restoration probes similarity; do rm -f "$tutorials/05-mesa-learned/figures/thirty/$name"-*; done # and these of five
[ ! -f "$root/tutorials/07-train-on-text/result.json" ] || run "$build/tutorials/07-train-on-text" --redraw "$root/tutorials/07-train-on-text/result.json" --out "$(folder 07-train-on-text)"
[ ! -d "$root/tutorials/08-uptraining/logs" ] || sh "$root/tutorials/08-uptraining/figure.sh" "$programs" "$root/tutorials/08-uptraining/logs" "$(folder 08-uptraining)/uptraining.png"
run "$build/tutorials/09-grouped-latent-and-shared" --figures "$(folder 09-grouped-latent-and-shared)"
run "$build/tutorials/10-decoding-at-bandwidth" --timeline "$root/docs/performance/one-kernel-h200.txt" --figures "$(folder 10-decoding-at-bandwidth)"
for name in frontier map memory variants point-bytes point-pieces rates repetition contexts recall search uptraining-once vocabulary; do
  only= # of contexts of 8,192 the rate that has three seeds
  [ $name != contexts ] || only="--only 512,2048,8192/mha@2e-3,8192/skipv1@2e-3"
  # shellcheck disable=SC2086  # two words or none
  run "$programs/skipv1-experiment" $name --out "$root/docs/results/$name.json" $only --figure "$results/$name.png"
done
several=$root/docs/performance/several-gpus performance=$to/docs/performance
mkdir -p "$performance"
run "$programs/skipv1-plot" "$several/one.csv" "$several/two.csv" --labels "one H200" "two H200s" --x step --from 0 --title "The same steps by one GPU and by two" \
  --out "$performance/several-gpus-losses.png"
run "$programs/skipv1-plot" "$several/gpt2-predicted.csv" "$several/gpt2-layers.csv" "$several/llama-predicted.csv" "$several/llama-layers.csv" "$several/gpt2-now.csv" \
  --labels "GPT-2 124M, predicted" "GPT-2 124M, first" "LLaMA 42M, predicted" "LLaMA 42M, first" "GPT-2 124M, sums at the end" --x "sequences per GPU" --y efficiency --log-x \
  --title "Efficiency of two H200s, %" --out "$performance/several-gpus-efficiency.png"
run "$programs/skipv1-plot" "$root/docs/performance/shares.csv" --rows what --y "this library" "PyTorch's best" --references 100 \
  --title "What kernels reach on one H200, of what the card allows" \
  --labels "% of the copy's rate (decoding), the largest product's (forward … prompts), memory's bound (one sequence)" --out "$performance/shares.png"
rm -f "$results"/variants-10M.* # the text shows the larger size alone
