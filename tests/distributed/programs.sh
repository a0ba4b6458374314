#!/bin/sh
# Usage: programs.sh PROGRAMS WORK TEXT MPIEXEC. skipv1-train and skipv1-uptrain by several processes: the same curve and files as
# one process gives, resumed by another number of them, and what cannot be is one line.
set -eu
. "$(dirname "$0")/../begin.sh"
mpiexec=$4
[ -n "$mpiexec" ] && [ -x "$mpiexec" ] || { echo "no MPI: skipped" && exit 77; }
head -c 20000 "$text" > text.txt
settings="--text text.txt --width 16 --layers 2 --heads 2 --batch 6 --length 16 --evaluate-every 5 --evaluate-windows 3"
small="$settings --steps 20"
# run N PROGRAM …: by N processes.
run() {
  count=$1 program=$2
  shift 2
  "$mpiexec" -n "$count" "$programs/skipv1-$program" "$@" > out 2> err || fail "$count x skipv1-$program $* says: $(cat err)"
}
# wrong LINE N PROGRAM …: status 2, one line of ours that has LINE in it and, where there are several processes, a rank.
wrong() {
  expected=$1 count=$2 program=$3
  shift 3
  status=0
  "$mpiexec" -n "$count" "$programs/skipv1-$program" "$@" > out 2> err || status=$?
  [ $status -eq 2 ] || fail "$program $*: status $status, $(cat err)"
  [ "$(grep -c "^skipv1-$program: " err)" -eq 1 ] || fail "$program $*: says $(cat err)"
  who=
  [ "$count" -eq 1 ] || who="rank [0-9]* of $count: "
  grep -q "^skipv1-$program: $who.*$expected" err || fail "$program $*: says $(cat err)"
}
# near A B BOUND: the same rows but for seconds, numbers within BOUND of each other.
near() {
  paste -d, "$1/log.csv" "$2/log.csv" | awk -F, -v bound="$3" '
    NR == 1 { half = NF / 2; next }
    { for (i = 1; i < half; ++i) {  # the last column is seconds
        a = $i; b = $(i + half)
        if ((a == "") != (b == "")) { print "row " NR ", column " i ": " a " and " b; bad = 1 }
        d = a - b; if (d < 0) d = -d
        s = a < 0 ? -a : a; if (s < 1) s = 1
        if (d > bound * s) { print "row " NR ", column " i ": " a " and " b; bad = 1 }
      } }
    END { exit NR < 2 || bad }' || fail "$1 and $2 differ by more than $3"
}

"$programs/skipv1-train" $small --dtype f64 --out one > one.txt 2> /dev/null || fail "one process: status $?"
"$programs/skipv1-train" $small --out float > /dev/null 2>&1
for count in 1 2 3; do
  run $count train $small --dtype f64 --out of-$count
  near one of-$count 1e-10
  [ "$(ls one/* | sed 's/^one//')" = "$(ls of-$count/* | sed "s/^of-$count//")" ] || fail "other files: $(ls of-$count/*)"
  [ "$(grep -c '^held out: ' out)" = 1 ] || fail "$count processes say $(cat out)"
done
[ "$(grep '^held out' one.txt)" = "$(grep '^held out' out)" ] || fail "held out: $(cat one.txt out)"
run 3 train $small --out float-3
near float float-3 1e-4

# Begun by two, stopped, gone on with by three, by one.
"$mpiexec" -n 2 "$programs/skipv1-train" $small --dtype f64 --checkpoint-every 4 --out part > out 2>&1 &
job=$!
while ! ls -d part/step-???????[48] > /dev/null 2>&1 && kill -0 $job 2> /dev/null; do sleep 0.01; done
kill -9 $job 2> /dev/null || true
wait $job 2> /dev/null || true
i=0
while [ -e part/lock ] && [ $i -lt 40 ] && ! "$programs/skipv1-train" --out part --resume > out 2> err; do sleep 0.25 && i=$((i + 1)); done
run 3 train --out part --resume
near one part 1e-10
run 2 train $settings --steps 10 --dtype f64 --out twice
wrong "steps is 20, the run to be resumed has 10" 2 train $small --dtype f64 --out twice --resume
wrong "twice: holds a run already" 2 train $settings --steps 10 --dtype f64 --out twice

# What cannot be.
wrong "batch 6: 4 processes divide the windows of a step, so it must be a multiple of 4" 4 train $small --out none
wrong "out is required" 3 train
wrong "nowhere.txt" 2 train --text nowhere.txt --out none
[ ! -e none ] || fail "wrote something: $(ls none)"
"$programs/skipv1-train" $settings --steps 1000000 --out busy > /dev/null 2>&1 &
job=$!
while [ ! -e busy/log.csv ]; do sleep 0.02; done
wrong "busy: in use by another process $job" 2 train $settings --steps 1000000 --out busy --resume
kill -9 $job
wait $job 2> /dev/null || true

# Uptraining, and a device's kernels.
run 1 train $settings --steps 4 --variant mha --out mha
further="--strategy mean_v --text text.txt --length 16 --batch 4 --steps 6"
"$programs/skipv1-uptrain" run mha $further --dtype f64 --out up > /dev/null 2>&1
run 2 uptrain run mha $further --dtype f64 --out up-2
near up up-2 1e-10
wrong "convert: one process does it, not 2" 2 uptrain convert mha --out none
tiny="--text text.txt --width 8 --layers 2 --heads 2 --batch 2 --length 8 --steps 4 --valid-share 0.01 --device emulated --dtype f64"
"$programs/skipv1-train" $tiny --out emulated > /dev/null 2>&1
run 2 train $tiny --out emulated-2
near emulated emulated-2 1e-10
[ "$("$mpiexec" -n 2 "$programs/skipv1-train" --help 2> /dev/null | grep -c '^Usage')" = 1 ] || fail "--help is there more than once"
