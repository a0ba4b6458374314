#!/bin/sh
# Usage: kill.sh PROGRAMS WORK TEXT [KILLS]. A run that is killed again and again ends with the same bits as one that is left alone.
set -eu
programs=$1 work=$2 text=$3 kills=${4:-10}
rm -rf "$work"
mkdir -p "$work"
train() {
  exec "$programs/skipv1-train" --text "$text" --out "$work/$1" --resume --width 16 --layers 2 --heads 2 --length 16 --batch 2 \
    --steps 400 --evaluate-every 7 --evaluate-windows 2 --checkpoint-every 3 --threads 1 > "$work/output" 2> "$work/error"
}
(train whole)

killed=0 finished=0 seed=20
while [ "$killed" -lt "$kills" ]; do
  (train part) &
  pid=$!
  seed=$(((seed * 1103 + 12345) % 65536))
  sleep "0.$(printf %03d $((seed % 500)))"
  kill -9 "$pid" 2> /dev/null && killed=$((killed + 1))
  status=0
  wait "$pid" 2> /dev/null || status=$?
  case $status in
    137) ;;
    0) rm -rf "$work/part" && finished=$((finished + 1)) ;;
    *) echo "after $killed kills the run did not resume: status $status, $(cat "$work/error")" >&2 && exit 1 ;;
  esac
done
(train part)

for file in config.json model.safetensors first_moment.safetensors second_moment.safetensors; do
  cmp "$work/whole/step-00000400/$file" "$work/part/step-00000400/$file"
done
for folder in whole part; do
  sed 's/,[^,]*$//' "$work/$folder/log.csv" > "$work/$folder.csv"  # without the seconds
  sed 's/,"seconds":.*//' "$work/$folder/log.jsonl" > "$work/$folder.jsonl"
done
cmp "$work/whole.csv" "$work/part.csv"
cmp "$work/whole.jsonl" "$work/part.jsonl"
left=$(ls "$work/part" | tr '\n' ' ')
[ "$left" = "log.csv log.jsonl result.json step-00000400 " ] || { echo "left behind: $left" >&2 && exit 1; }
echo "$killed kills; $finished times the run was done before"
