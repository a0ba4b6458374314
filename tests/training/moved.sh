#!/bin/sh
# Usage: moved.sh PROGRAMS WORK TEXT. A run whose files are moved away under it says so with status 2, and removes nothing that has
# taken their places.
set -eu
. "$(dirname "$0")/../begin.sh"

# ends NAME LINE COMMANDS: begins the run NAME, calls COMMANDS once it trains, and expects LINE.
ends() {
  name=$1 line=$2
  shift 2
  "$programs/skipv1-train" --text "$text" --out "$name" --width 16 --layers 2 --heads 2 --length 16 --batch 2 --steps 3000 \
    --checkpoint-every 50 --threads 1 > out 2> err &
  pid=$!
  until [ -e "$name/log.csv" ] && [ "$(wc -l < "$name/log.csv")" -gt 60 ]; do sleep 0.02; done
  sh -ec "$*"
  status=0
  wait $pid || status=$?
  [ $status -eq 2 ] || fail "$name: status $status, $(cat err)"
  [ "$(wc -l < err)" -eq 1 ] && grep -q "^skipv1-train: $line$" err || fail "$name: says $(cat err)"
}

writes=" while this program writes to it"
ends csv "csv/log.csv: is gone$writes" rm csv/log.csv
ends linked "linked/log.csv: a link to nowhere, where nothing is, stands in its place$writes" "ln -s nowhere linked/new; mv linked/new linked/log.csv"
ends jsonl "jsonl/log.jsonl: is gone$writes" rm jsonl/log.jsonl
# Where the run first misses its folder, at the log or at a checkpoint, is chance.
missed="\(/log.*: is gone$writes\|: this run's folder is gone\|: something else has taken the place of this run's folder\)"
ends gone "gone$missed" mv gone gone.away
[ ! -e gone ] || fail "gone is there again: $(ls gone)"
ends file "file$missed" "mv file file.away; echo precious > file"
[ "$(cat file)" = precious ] || fail "the file in the run's place: $(ls -l file)"
ends link "link$missed" "mv link link.away; ln -s nowhere link"
[ -h link ] || fail "the link in the run's place is gone"
mkdir -p other/step-00000001
cp link.away/log.csv other
for file in model state.json; do echo precious > other/step-00000001/$file; done
ends run "run\(/log.csv: another file has taken its place$writes\|$missed\)" "mv run run.away; mv other run"
[ "$(cat run/step-00000001/model)" = precious ] && cmp run/log.csv link.away/log.csv && [ "$(ls run | wc -l)" = 2 ] ||
  fail "the other run's folder: $(ls -R run)"

# taken COMMANDS: calls them when an experiment has results, between two writings, and expects a line.
taken() {
  rm -f results.json
  "$programs/skipv1-experiment" recall --short --threads 1 --out results.json > out 2> err &
  pid=$!
  until grep -q '"label"' results.json 2> /dev/null && kill -s STOP $pid && [ ! -e "results.json.skipv1-part-$pid" ]; do
    kill -s CONT $pid
    sleep 0.02
  done
  sh -ec "$1"
  kill -s CONT $pid
  status=0
  wait $pid || status=$?
  [ $status -eq 2 ] && tail -n 1 err | grep -q "^skipv1-experiment: results.json: $2$writes$" || fail "$1: status $status, $(tail -n 1 err)"
}
taken "rm results.json" "is gone"
# A file system may give the number of the file that is gone to the next one.
taken "rm results.json; echo precious > results.json" "another file has taken its place"
[ "$(cat results.json)" = precious ] || fail "the file in the results' place: $(head -n 3 results.json)"
