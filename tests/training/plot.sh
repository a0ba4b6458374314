#!/bin/sh
# Usage: plot.sh PROGRAMS WORK TEXT. A run's rows are of one sample, and what skipv1-plot makes of runs, tables of heads and results.
set -eu
programs=$1 work=$2 text=$3
rm -rf "$work"
mkdir -p "$work"
cd "$work"
fail() {
  echo "plot.sh: $*" >&2
  exit 1
}
run() {
  program=$1
  shift
  "$programs/skipv1-$program" "$@" > out 2> err || fail "skipv1-$program $* says: $(cat err)"
}
number() { sed -n "s/^ *\"$2\": \([^,]*\),*$/\1/p" "$1"; }

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
