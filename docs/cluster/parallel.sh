#!/bin/sh
# The runs of an experiment on the GPUs of this machine, by GNU parallel: docs/cluster/parallel.sh rates prose-train.txt prose-valid.txt 8
# Each of the parts has a GPU of its own and goes on where it stopped; at the end they are joined, and what is missing is said.
set -eu
name=$1 text=$2 valid=$3 parts=$4
skipv1-experiment "$name" --text "$text" --valid "$valid" --tokenizer-folder vocabularies --out "$name.json" --prepare
parallel --jobs "$parts" --line-buffer CUDA_VISIBLE_DEVICES='$(({%} - 1))' skipv1-experiment "$name" --text "$text" --valid "$valid" \
  --tokenizer-folder vocabularies --out "$name.json" --device cuda --dtype bf16 --shard "{}/$parts" ::: $(seq "$parts")
skipv1-experiment "$name" --out "$name.json" --merge "$name"-*-of-"$parts".json --table
