#!/bin/sh
# The training step, decoding and prompts on the CPU beside what is installed to compare with, in turns, for a machine's speed changes:
#   tests/benchmark/cpu.sh [TURNS]      from the repository's root, after `cmake --build --preset default --target skipv1_tools`
# BUILD: the build folder (build/default). PYTHON: one that has PyTorch (python3). LLAMA2C: llama2.c's program `run`, built by
# `gcc -Ofast -march=native -fopenmp`. What is not there is said and left out. Nobody else should use the machine meanwhile.
set -eu
turns=${1:-3} build=${BUILD:-build/default} python=${PYTHON:-python3} here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
torch=yes
"$python" -c 'import torch' 2> /dev/null || { torch=no; echo "no PyTorch for $python: set PYTHON"; }
if [ -z "${LLAMA2C:-}" ]; then
  echo "no llama2.c: set LLAMA2C"
elif [ ! -x "$LLAMA2C" ]; then
  echo "LLAMA2C: $LLAMA2C cannot be run"
  exit 2
else
  "$python" "$here/llama2c_model.py" "$work"
fi
for turn in $(seq "$turns"); do
  echo "== turn $turn: a training step"
  "$build/tests/skipv1-benchmark-training-step"
  [ $torch = no ] || "$python" "$here/training_step.py" --device cpu
  [ $torch = no ] || "$python" "$here/training_step.py" --device cpu --compile
  echo "== turn $turn: decoding one sequence, and prompts"
  "$build/tests/skipv1-benchmark-decoding" --repeats 11
  [ $torch = no ] || "$python" "$here/decoding.py" --device cpu
  [ $torch = no ] || "$python" "$here/prompts.py"
  [ -z "${LLAMA2C:-}" ] || "$LLAMA2C" "$work/model.bin" -z "$work/tokenizer.bin" -t 0 -n 256 -i "" 2>&1 | tr -d '\000' |
    sed -n 's/achieved tok\/s: \(.*\)/llama2.c, contexts 1 to 256: \1 tokens\/s/p'
done
