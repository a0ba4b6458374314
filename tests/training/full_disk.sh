#!/bin/sh
# Usage: full_disk.sh PROGRAMS WORK TEXT. Where a checkpoint cannot be written, one line says so and the one before stays; with room
# again, the run goes on to the same bits. A limit on the size of files stands for the disk.
set -eu
programs=$1 work=$2 text=$3
rm -rf "$work"
mkdir -p "$work"
train() {
  exec "$programs/skipv1-train" --text "$text" --out "$work/$1" --resume --width 16 --layers 2 --heads 2 --length 16 --batch 2 \
    --steps 400 --checkpoint-every 4 --threads 1 > /dev/null
}
(train whole) 2> /dev/null

(train part) 2> /dev/null &
pid=$!
while [ ! -e "$work/part/log.csv" ]; do sleep 0.01; done  # the first checkpoint is there
kill -9 "$pid"
wait "$pid" 2> /dev/null || true
before=$(ls -d "$work"/part/step-???????? | tail -n 1)
for other in "$work"/part/step-????????; do  # killed, it may not have removed the one before
  [ "$other" = "$before" ] || rm -r "$other"
done
cp -r "$before" "$work/before"

status=0
(
  ulimit -f 16  # 8 or 16 KiB
  train part
) 2> "$work/error" || status=$?
[ "$status" -eq 2 ] || { echo "status $status" >&2 && exit 1; }
[ "$(wc -l < "$work/error")" -eq 1 ]
grep -q '^skipv1-train: .*cannot be written: ' "$work/error"
[ "$(ls -d "$work"/part/step-*)" = "$before" ]
for file in "$work"/before/*; do cmp "$file" "$before/${file##*/}"; done

(train part) 2> /dev/null
cmp "$work/whole/step-00000400/model.safetensors" "$work/part/step-00000400/model.safetensors"
cat "$work/error"
