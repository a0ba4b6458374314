#!/bin/sh
# Usage: processes.sh PROGRAMS WORK TEXT. What a program meets around it: closed descriptors, other processes at the same files,
# too many threads, names that are not UTF-8, a terminal of 80 columns; and what a run to be resumed is compared by.
set -eu
. "$(dirname "$0")/../begin.sh"
head -c 20000 "$text" > text.txt
tiny="--width 16 --layers 2 --heads 2 --batch 2 --length 16 --threads 1"
# wrong LINE PROGRAM ...: status 2 and one line with LINE in it, and nothing written.
wrong() {
  expected=$1 program=$2
  shift 2
  status=0
  "$programs/skipv1-$program" "$@" > out 2> err || status=$?
  [ $status -eq 2 ] || fail "$program $*: status $status, $(cat err)"
  [ "$(wc -l < err)" -eq 1 ] || fail "$program $*: says $(cat err)"
  grep -q -- "$expected" err || fail "$program $*: says $(cat err)"
  [ ! -e none ] || fail "$program $*: wrote something"
}
steps() { grep -c '^[0-9]' "$1/log.csv"; }

# Descriptors closed at start: what is meant for standard error gets into no file; without standard output nothing is begun.
"$programs/skipv1-train" --text text.txt $tiny --steps 30 --out mha --variant mha 2>&- > /dev/null || fail "2>&-: status $?"
[ "$(steps mha)" = 30 ] && run plot mha --out loss.png
grep -v '^[0-9]' mha/log.csv | grep -qv '^step,' && fail "2>&-: log.csv has $(grep -v '^[0-9]' mha/log.csv)"
"$programs/skipv1-train" --text text.txt $tiny --steps 30 --out closed 0<&- 2>&- > /dev/null || fail "0<&- 2>&-: status $?"
[ "$(steps closed)" = 30 ] && run plot closed --out loss.png
for program in train uptrain eval generate plot experiment; do
  status=0
  "$programs/skipv1-$program" --help >&- 2> err || status=$?
  [ $status = 2 ] && grep -q 'standard output cannot be written: it is closed' err || fail "$program >&-: $status, $(cat err)"
done
if [ -c /dev/full ]; then
  status=0
  "$programs/skipv1-eval" --help > /dev/full 2> err || status=$?
  [ $status = 2 ] && grep -q 'standard output cannot be written' err || fail "/dev/full: status $status, $(cat err)"
fi
status=0
"$programs/skipv1-train" --text text.txt $tiny --out none 0<&- >&- 2>&- || status=$?
[ $status = 2 ] && [ ! -e none ] || fail "all closed: status $status"

# A link that leads nowhere is no folder to be made, and stays; nor is what lies behind it.
ln -s nowhere link
wrong "^skipv1-train: link: nothing can be written into this folder: it is a link that leads nowhere, to nowhere$" train --text text.txt $tiny --out link
wrong "^skipv1-train: link/x: nothing can be written into this folder: link is a link that leads nowhere, to nowhere$" train --text text.txt $tiny \
  --out link/x
wrong "^skipv1-uptrain: link: cannot be made: it is a link that leads nowhere, to nowhere$" uptrain convert mha --out link
wrong "^skipv1-run: link: cannot be made: it is a link that leads nowhere, to nowhere$" run mha --tokens none --out link
wrong "^skipv1-train: link: cannot be read: it is a link that leads nowhere, to nowhere$" train --text link --out none
[ -L link ] && [ ! -e nowhere ] || fail "a link is gone, or what it led to was made"

# A link to a file stays a link: what it leads to is written, also where nothing is yet.
mkdir -p elsewhere
for name in loss.json said.json figure.png figure.svg; do ln -s "elsewhere/$name" "$name"; done
run eval mha --text text.txt --windows 1 --json loss.json
run eval mha --text text.txt --windows 1 --json loss.json
run generate mha --prompt a --count 1 --json said.json
run plot mha --out figure.png
for name in loss.json said.json figure.png figure.svg; do
  [ -L "$name" ] && [ -s "elsewhere/$name" ] && [ ! -L "elsewhere/$name" ] || fail "$name: $(ls -l "$name" elsewhere)"
done
if [ -L /dev/stdout ]; then  # a link, too, to what standard output goes to: that has the JSON alone
  "$programs/skipv1-eval" mha --text text.txt --windows 1 --json /dev/stdout > both.json 2> err || fail "/dev/stdout: $(cat err)"
  [ -L /dev/stdout ] && [ "$(head -c 1 both.json)" = "{" ] && [ "$(tail -n 1 both.json)" = "}" ] && grep -q "^loss " err || fail "/dev/stdout: $(cat both.json)"
fi
ln -s nowhere/x.json far.json
wrong "^skipv1-eval: far.json: cannot be written: it is a link to nowhere/x.json: No such file or directory$" eval mha --text text.txt --json far.json
ln -s mha/step-00000030/config.json to-config.json  # what numbers must not take the place of, they must not through a link
wrong "^skipv1-eval: to-config.json: is there, and of a model" eval mha --text text.txt --json to-config.json
cp -r mha/step-00000030 broken  # files of a model that are links, as in a cache of downloads
ln -s gone broken/tokenizer.model
wrong "broken/tokenizer.model: the model's 256 ids are bytes only .*: it is a link that leads nowhere, to gone)$" eval broken --text text.txt
rm broken/tokenizer.model broken/config.json
ln -s gone broken/config.json
wrong "^skipv1-eval: broken/config.json: cannot be read: it is a link that leads nowhere, to gone$" eval broken --text text.txt
for font in / /dev/zero; do (export SKIPV1_FONT=$font; wrong "^skipv1-plot: SKIPV1_FONT: $font: must be a TrueType font" plot mha --out none.svg); done
ln -s circle circle
wrong "^skipv1-eval: circle: cannot be written: Too many levels of symbolic links$" eval mha --text text.txt --json circle

mkdir -p deep
# Two processes at one run: the second is refused. Where the first was killed, the run goes on.
"$programs/skipv1-train" --text text.txt $tiny --steps 1000000 --checkpoint-every 5 --out run > /dev/null 2>&1 &
first=$!
while [ ! -e run/log.csv ]; do sleep 0.02; done
wrong "run: in use by another process $first" train --text text.txt $tiny --steps 1000000 --checkpoint-every 5 --out run --resume
mkdir -p deep
wrong "in use by another process $first" uptrain run --out deep/../run/. --resume
kill -9 $first
wait $first 2> /dev/null || true
[ -e run/lock ] || fail "no lock was left: the next test is none"
status=0
timeout 2 "$programs/skipv1-train" --out run --resume --threads 1 > out 2> err || status=$?
[ $status = 124 ] && grep -q "goes on after step" out || fail "after a kill: status $status, $(cat out err)"
"$programs/skipv1-train" --out run --resume --threads 1 > /dev/null 2>&1 &
first=$!
for i in 1 2 3 4 5 6 7 8 9; do run eval run --text text.txt --windows 1 --threads 1; done
kill $first
run train --text text.txt $tiny --steps 2 --out two
[ "$(ls two | tr '\n' ' ')" = "log.csv log.jsonl result.json step-00000002 " ] || fail "left in the folder: $(ls two)"

"$programs/skipv1-experiment" point-bytes --short --text text.txt --only mha,skipv1 --out results.json > /dev/null 2>&1 &
first=$!
while [ ! -e results.json.lock ] && kill -0 $first; do sleep 0.01; done
kill -s STOP $first  # so that it does not end before the others ask
wrong "results.json: in use by another process $first" experiment point-bytes --short --text text.txt --only mha,skipv1 --out results.json
ln -s results.json linked.json  # by whichever name
wrong "linked.json: in use by another process $first" experiment point-bytes --short --text text.txt --only mha,skipv1 --out linked.json
kill -s CONT $first
wait $first || fail "the first of two experiments: status $?"
[ "$(grep -c '"label"' results.json)" = 2 ] && [ ! -e results.json.lock ] || fail "results of two experiments: $(ls)"

# Two that share a folder of vocabularies: one waits for what the other makes. Another text has another vocabulary.
for i in 1 2; do
  "$programs/skipv1-experiment" point-pieces --short --prepare --text text.txt --tokenizer-folder pieces --out pieces-$i.json > out-$i 2>&1 &
  eval "process_$i=$!"
done
for i in 1 2; do
  eval "wait \$process_$i" || fail "shared vocabularies: $(cat out-$i)"
done
[ "$(ls pieces | wc -l)" = 3 ] || fail "a vocabulary and two texts: $(ls pieces)"
tail -c 8000 text.txt > other.txt
run experiment point-pieces --short --prepare --text other.txt --tokenizer-folder pieces --out pieces-3.json
[ "$(ls pieces | wc -l)" = 6 ] || fail "two vocabularies and four texts: $(ls pieces)"
# Tokens that are kept are checked like others.
for tokens in pieces/tokens-*; do
  printf '\377\377\377\177' | dd of="$tokens" bs=1 seek=$(($(wc -c < "$tokens") - 4)) conv=notrunc 2> /dev/null
done
status=0
"$programs/skipv1-experiment" point-pieces --short --prepare --text other.txt --tokenizer-folder pieces --out pieces-4.json 2> err || status=$?
[ $status -eq 2 ] && tail -n 1 err | grep -q 'pieces/tokens-.*[.]npy: element [0-9]* is 2147483647: .*vocabulary has ids 0 to' ||
  fail "tokens beyond the vocabulary: status $status, $(cat err)"

# Threads.
for threads in 257 2000 100000 2147483647; do
  wrong "threads is $threads: must be at most" train --text text.txt --out none --threads $threads
  wrong "threads is $threads: must be at most" eval mha --text text.txt --threads $threads
  wrong "threads is $threads: must be at most" generate mha --prompt a --threads $threads
done
for command in "experiment recall --short --out none" "run mha --tokens none --out none" "check mha" "make-case none --seed 1 --out none" \
  "uptrain convert mha --out none"; do
  wrong "threads is 257: must be at most" $command --threads 257
done
export OMP_NUM_THREADS=100000
wrong "OMP_NUM_THREADS is 100000: must be at most" plot mha --out none
wrong "OMP_NUM_THREADS is 100000: must be at most" uptrain convert mha --out none
wrong "OMP_NUM_THREADS is 100000: must be at most" train --text text.txt --out none
run eval mha --text text.txt --windows 2 --threads 1
unset OMP_NUM_THREADS
run eval mha --text text.txt --windows 2 --threads 100
limited() { (ulimit -v 2000000 && wrong "threads is 250: only [0-9]* threads can be started: " "$@" --threads 250); }
if (ulimit -v 2000000) 2> /dev/null; then limited eval mha --text text.txt; fi
# OpenBLAS tries without end to get memory that it cannot have. So programs take what it needs at their start, before the model
# can, or say that it is not there: by every limit a run trains, or is refused. (For each core but one OpenBLAS takes some before
# main already, if it may have more than one thread: version 0.3.29 would then not reach our words.)
little() {
  limit=$1 status=0
  shift
  (ulimit $limit && OPENBLAS_NUM_THREADS=1 exec timeout 60 "$@" > out 2> err) || status=$?
  [ $status -eq 0 ] || { [ $status -eq 2 ] && grep -q "out of memory: \|GB are left$\|threads can be started: " err; } ||
    fail "ulimit $limit, $*: status $status, says $(cat err)"
}
if [ -r /proc/self/limits ] && (ulimit -v 900000) 2> /dev/null; then  # such a limit counts as what is left
  (export OPENBLAS_NUM_THREADS=1; ulimit -v 900000; wrong "a training of [0-9]* parameters takes at least 2.[0-9] GB of memory, 0.[0-9] GB are left$" \
    train --text text.txt --width 1024 --layers 12 --heads 8 --length 16 --batch 1 --threads 1 --out none)
fi
if (ulimit -v 300000 && ulimit -d 200000) 2> /dev/null; then
  for kilobytes in 100000 150000 200000 250000 300000 350000 400000 450000 500000 550000; do
    for kind in -v -d; do
      rm -rf little
      little "$kind $kilobytes" "$programs/skipv1-train" --text text.txt --valid other.txt --width 256 --layers 4 --heads 8 --length 256 \
        --batch 8 --steps 1 --threads 2 --out little
      little "$kind $kilobytes" "$programs/skipv1-eval" mha --text text.txt --windows 2 --threads 2
    done
  done
fi

# What a run to be resumed is compared by: everything that was given, and places as places.
run train --text text.txt $tiny --steps 30 --out other --variant mha --seed 2
run uptrain run mha --strategy svd --text text.txt --length 16 --batch 2 --steps 2 --threads 1 --out uptrained
wrong "strategy is mean_v, the run to be resumed has svd" uptrain run mha --strategy mean_v --out uptrained --resume
wrong "model is other, the run to be resumed has .*mha" uptrain run other --strategy svd --out uptrained --resume
wrong "from is other, the run to be resumed has .*mha" train --from other --out uptrained --resume
run uptrain run ./mha/ --strategy svd --out uptrained --resume
run uptrain run --out uptrained --resume

(cd deep && run uptrain run ../mha --out ../uptrained --resume && run train --from ../mha --out ../uptrained --resume)
wrong "no checkpoint to resume, and no model to start with" uptrain run --text text.txt --out none --resume
run train --text text.txt --batch 2 --length 16 --threads 1 --steps 2 --config mha/step-00000030/config.json --out by-config
run train --out by-config --resume --config ./mha/step-00000030/../step-00000030/config.json
# A file that is another since is one, though its place is the same.
cp mha/step-00000030/config.json kept.json
sed 's/"rope_theta": 10000.0/"rope_theta": 20000.0/' kept.json > mha/step-00000030/config.json
wrong "config.json: not the configuration of the run to be resumed" train --out by-config --resume --config mha/step-00000030/config.json
mv kept.json mha/step-00000030/config.json
mv mha there && cp -R other mha
wrong "mha: not the model that the run to be resumed started from" uptrain run mha --out uptrained --resume
rm -r mha && mv there mha
wrong "config is other/step-00000030/config.json, the run" train --out by-config --resume --config other/step-00000030/config.json

# A run that is done has the rate that it was trained at, also when it is resumed; where that is not known, it has none.
rate=$(number two/result.json tokens_per_second)
run train --out two --resume --json again.json
[ -n "$rate" ] && [ "$(number two/result.json tokens_per_second)" = "$rate" ] && [ "$(number again.json tokens_per_second)" = "$rate" ] ||
  fail "the rate $rate of a run that is done: $(grep -h tokens_per_second two/result.json again.json)"
rm two/result.json
run train --out two --resume
[ -s two/result.json ] && ! grep -q tokens_per_second two/result.json || fail "a rate of nothing: $(cat two/result.json)"

# What has the name of a checkpoint and is none stays; in the way of one it is said before anything is done.
mkdir -p own/step-00000900 own/step-00000007 own/step-00000006
for folder in 900 007; do echo mine > own/step-00000$folder/notes; done
wrong "^skipv1-train: own/step-00000006: is there, and not this run's checkpoint of step 6: move it away$" train --text text.txt $tiny --steps 6 --out own
rmdir own/step-00000006
wrong "^skipv1-train: own/step-0000[09]*00[07]*: is no checkpoint: must be a folder, no link, with a file state.json$" \
  train --text text.txt $tiny --steps 6 --out own --resume
run train --text text.txt $tiny --steps 6 --checkpoint-every 2 --out own
run train --out own --resume
run eval own --text text.txt --windows 1
[ "$(cat own/step-00000900/notes own/step-00000007/notes)" = "mine
mine" ] && [ "$(ls own | tr '\n' ' ')" = "log.csv log.jsonl result.json step-00000006 step-00000007 step-00000900 " ] || fail "foreign: $(ls -R own)"
echo mine > own/lock
wrong "^skipv1-train: own/lock: is there, and no lock of a program: move it away$" train --out own --resume
[ "$(cat own/lock)" = mine ] || fail "another's file called lock: $(ls -l own)"

# Names that are not UTF-8, everywhere; what is JSON is UTF-8.
odd=$(printf 'caf\351')
if mkdir "$odd" 2> /dev/null; then
  cp text.txt "$odd/$odd.txt"
  cd "$odd"
  small="--width 16 --layers 2 --heads 2 --batch 2 --length 16 --threads 1 --steps 4"
  run train --text "$odd.txt" --valid "$odd.txt" $small --vocab 400 --variant mha --out "$odd" --json "$odd.json"
  cd ..
  run train --out "$odd/$odd" --resume
  run train --out "$odd/$odd" --resume --text "$odd/$odd.txt"
  run train --out "$odd/$odd.config" --text text.txt --length 16 --steps 1 --config "$odd/$odd/step-00000004/config.json" \
    --tokenizer "$odd/$odd/step-00000004/tokenizer.model"
  run train --out "$odd/$odd.config" --resume
  run eval "$odd/$odd" --text "$odd/$odd.txt" --json "$odd/$odd-eval.json"
  run generate "$odd/$odd" --prompt The --count 3 --json "$odd/$odd-said.json"
  run plot "$odd/$odd" "$odd/$odd/log.jsonl" --title "$odd" --out "$odd/$odd.png"
  run uptrain convert "$odd/$odd" --out "$odd/$odd-converted"
  run uptrain run "$odd/$odd" --text "$odd/$odd.txt" --length 16 --batch 2 --steps 2 --out "$odd/$odd-uptrained"
  run uptrain run --out "$odd/$odd-uptrained" --resume
  run experiment uptraining --short --from "$odd/$odd" --text "$odd/$odd.txt" --tokenizer-folder "$odd/$odd-pieces" \
    --out "$odd/$odd-results.json" --seeds 1 --only unconverted,mean_v --table --figure "$odd/$odd-figure.png"
  wrong "json: cannot be written" eval "$odd/$odd" --text "$odd/$odd.txt" --json "$odd/none/$odd.json"
  find "$odd" -name '*.json' > names
  while read -r name; do iconv -f UTF-8 -t UTF-8 "$name" > /dev/null || fail "$name is not UTF-8"; done < names
fi

# The bar keeps to the terminal's width, so that each line is drawn over the one before.
if command -v script > /dev/null && script -qec true /dev/null > /dev/null 2>&1; then  # (a bare chroot has no pseudo-terminals)
  for columns in 40 80 160; do
    script -qec "stty cols $columns && '$programs/skipv1-train' --text text.txt $tiny --steps 300 --checkpoint-every 0 --out bar-$columns" \
      typescript > /dev/null
    tr '\r' '\n' < typescript | grep -E '^(train|evaluate) ' > bars || fail "no bar: $(cat typescript)"
    [ "$(awk '{ print length }' bars | sort -n | tail -1)" -lt $columns ] || fail "$columns columns: $(cat bars)"
  done
fi
