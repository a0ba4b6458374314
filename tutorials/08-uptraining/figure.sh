#!/bin/sh
# The figure of tutorial 08 from the logs of its runs: sh figure.sh PROGRAMS LOGS FIGURE
set -eu
programs=$1 logs=$2 figure=$3
last() { tail -1 "$logs/$1"; }
"$programs/skipv1-plot" "$logs/mean_v.csv" "$logs/mean_vo.csv" "$logs/top_v.csv" "$logs/top_vo.csv" "$logs/svd.csv" "$logs/mha-on.csv" \
  --labels mean_v mean_vo top_v top_vo svd "MHA, not converted" --x step --y valid_nats_per_token --from 0 \
  --references "$(last mha.txt)=MHA before" "$(last skipv1.txt)=SkipV1 from scratch" --title "Uptraining: held-out loss" --out "$figure"
