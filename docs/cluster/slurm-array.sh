#!/bin/sh
#SBATCH --job-name=skipv1 --array=1-8 --ntasks=1 --gpus=1 --cpus-per-task=8 --time=04:00:00 --output=skipv1-%a.txt
# The runs of an experiment on eight GPUs: sbatch docs/cluster/slurm-array.sh rates prose-train.txt prose-valid.txt
# A task takes every eighth run of the list, with results in NAME-1-of-8.json and so on; begun again, it goes on where it stopped.
# Once all have ended:
#   skipv1-experiment rates --out rates.json --merge rates-*-of-8.json --table
set -eu
name=$1 text=$2 valid=$3
exec skipv1-experiment "$name" --text "$text" --valid "$valid" --tokenizer-folder vocabularies --out "$name.json" \
  --device cuda --dtype bf16
