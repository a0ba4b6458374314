#!/bin/sh
# Usage: kill.sh PROGRAMS WORK TEXT MPIEXEC [KILLS]. A process of several is killed, any of them at any moment: all end within ten
# seconds, one line names it, and the run goes on from its last checkpoint to the curve of one process. Who can, takes lock and files in
# the making away. CI kills twice; sh tests/distributed/kill.sh … 20 kills twenty times.
set -eu
. "$(dirname "$0")/../begin.sh"
mpiexec=$4 kills=${5:-2}
[ -n "$mpiexec" ] && [ -x "$mpiexec" ] || { echo "no MPI: skipped" && exit 77; }
# Which process has which rank, only this launcher's environment says.
"$mpiexec" --version 2> /dev/null | grep -q -i -e 'open mpi' -e openrte -e prrte || { echo "not OpenMPI: skipped" && exit 77; }
head -c 20000 "$text" > text.txt
settings="--text text.txt --width 16 --layers 2 --heads 2 --length 16 --batch 6 --dtype f64"
# begin COUNT FOLDER STEPS: starts COUNT processes of skipv1-train, and waits until training has begun.
begin() {
  rm -f out err
  "$mpiexec" -n "$1" "$programs/skipv1-train" $settings --checkpoint-every 10 --out "$2" --steps "$3" --resume > out 2> err &
  job=$!
  while ! { grep -qs "^learns from" out && ls "$2"/step-????????/model.safetensors > /dev/null 2>&1; } && kill -0 $job 2> /dev/null; do
    sleep 0.02
  done
}
# process RANK: its number.
process() {
  for process in $(pgrep -P $job 2> /dev/null); do
    rank=$(tr '\0' '\n' < "/proc/$process/environ" 2> /dev/null | sed -n 's/^OMPI_COMM_WORLD_RANK=//p')
    [ "$rank" != "$1" ] || echo "$process"
  done
}
# nothing_left FOLDER WHY: no lock, nothing in the making.
nothing_left() {
  case $(ls -A "$1") in *lock* | *part*) fail "$2: left are $(ls -A "$1")" ;; esac
}
"$programs/skipv1-train" $settings --steps 2000 --out whole > /dev/null 2>&1

killed=0 longest=0 seed=21
while [ "$killed" -lt "$kills" ]; do
  seed=$(((seed * 1103 + 12345) % 65536))
  count=$((2 + seed / 7 % 2)) victim=$((seed / 16 % (2 + seed / 7 % 2)))
  begin $count part 2000
  sleep "0.$(printf %03d $((seed % 500)))"
  pid=$(process $victim)
  if [ -z "$pid" ] || ! kill -9 "$pid" 2> /dev/null; then
    wait $job || fail "ended by itself: status $?, $(cat err)"
    rm -rf part
    continue
  fi
  start=$(date +%s%N)
  status=0
  wait $job || status=$?
  took=$((($(date +%s%N) - start) / 1000000))
  [ $took -gt $longest ] && longest=$took
  [ $status -ne 0 ] || { rm -rf part && continue; }  # it had just ended
  [ $took -lt 10000 ] || fail "ended after $took ms"
  [ "$(grep -c "^skipv1-train: rank $victim of $count (process $pid) has died" err)" = 1 ] || fail "rank $victim killed: says $(cat err)"
  [ "$(grep -c '^skipv1-train: ' err)" = 1 ] || fail "more than one line: $(cat err)"
  [ "$victim" = 0 ] || nothing_left part "rank $victim killed"
  ls part/step-????????/model.safetensors > /dev/null 2>&1 || fail "no checkpoint: $(ls part)"
  killed=$((killed + 1))
done

# Who is interrupted by a signal, to the launcher or to the first process.
for ended in "TERM launcher" "INT launcher" "TERM 0" "INT 0" "HUP 0"; do
  begin 2 ended 1000000
  to=$job
  [ "${ended#* }" = launcher ] || to=$(process 0)
  kill -s "${ended% *}" "$to"
  ! wait $job || fail "$ended: ended with status 0"
  nothing_left ended "$ended"
done
"$programs/skipv1-train" --out part --resume > out 2> err || fail "one process does not go on: $(cat err)"
paste -d, whole/log.csv part/log.csv | awk -F, 'NR == 1 { half = NF / 2; next } {
  d = $3 - $(half + 3); if (d < 0) d = -d; if (d > most) most = d }
  END { print "the losses differ by at most " most; exit NR != 2001 || most > 1e-6 }' || fail "another curve"
echo "$killed kills, the longest end took $longest ms"
