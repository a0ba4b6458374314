#!/bin/sh
# Usage: inputs.sh PROGRAMS WORK TEXT. What programs make of files that are no texts and of pipes, of folders that are closed, of empty
# values, and of defaults that depend on the model; that each says what it has written, and leaves nothing where it is interrupted.
set -eu
. "$(dirname "$0")/../begin.sh"
cp "$text" text.txt
size=$(wc -c < text.txt)
cases=$(dirname "$text")/../../data/conformance
# run LINE PROGRAM ...: status 0, and LINE in what it prints.
run() {
  expected=$1 program=$2
  shift 2
  "$programs/skipv1-$program" "$@" > out 2> err || fail "skipv1-$program $* says: $(cat err)"
  grep -q -- "$expected" out || fail "skipv1-$program $*: prints $(cat out)"
}
# wrong LINE PROGRAM ...: status 2 at once and one line with LINE in it, and nothing written.
wrong() {
  expected=$1 program=$2
  shift 2
  status=0
  timeout 30 $as "$programs/skipv1-$program" "$@" > out 2> err < /dev/null || status=$?
  [ $status -eq 2 ] || fail "$program $*: status $status, $(cat err)"
  [ "$(wc -l < err)" -eq 1 ] || fail "$program $*: says $(cat err)"
  grep -q -- "$expected" err || fail "$program $*: says $(cat err)"
  [ ! -e none ] && [ ! -e none.png ] || fail "$program $*: wrote something"
}
as=
small="--width 16 --layers 2 --heads 2 --batch 2 --threads 1"
run "model in mha/step-00000002$" train --text text.txt $small --length 32 --steps 2 --variant mha --out mha

# A named pipe may wait for ever; one that is open already is read.
mkfifo pipe
named="pipe: cannot be read: it is a named pipe: must be a file, or an open pipe such as /dev/stdin$"
wrong "^skipv1-train: $named" train --text pipe --out none
wrong "^skipv1-eval: $named" eval mha --text pipe
wrong "^skipv1-eval: $named" eval pipe --text text.txt
wrong "^skipv1-generate: $named" generate mha --tokens pipe
wrong "^skipv1-plot: $named" plot pipe --out none.png
wrong "^skipv1-experiment: $named" experiment point-bytes --short --text pipe --out none
wrong "^skipv1-experiment: $named" experiment point-bytes --out pipe --table
wrong "^skipv1-uptrain: $named" uptrain convert pipe --out none
wrong "^skipv1-make-case: $named" make-case pipe --seed 1 --out none
wrong "^skipv1-run: $named" run mha --tokens pipe --out none
cp -r mha/step-00000002 piped
rm piped/config.json
mkfifo piped/config.json
wrong "^skipv1-export: piped/config.json: cannot be read: it is a named pipe" export piped --out none
mkdir actual
mkfifo actual/logits.npy
wrong "^skipv1-check: actual/logits.npy: cannot be read: it is a named pipe" check "$cases/llama_mha" --actual actual
cat text.txt > pipe & timeout 30 "$programs/skipv1-eval" mha --text /dev/stdin < pipe > out 2> err || fail "standard input is a pipe: $(cat err)"
grep -q " ($((size - 1)) bytes)" out || fail "standard input is a pipe: $(cat out)"

# What is no text is not learned as one, in any vocabulary; bytes are token ids.
gzip -c text.txt > text.gz
{ cat text.txt; printf '\377'; } > latin.txt
{ cat text.txt; printf 'a\000b\377'; } > nul.txt
printf '\377\376a\000' > utf16.txt
printf '\375' > xz.txt && printf '7zXZ\000' >> xz.txt
for vocab in 256 400; do
  wrong "^skipv1-train: text.gz: is compressed (gzip): must be text, in UTF-8$" train --text text.gz --vocab $vocab --out none
  wrong "^skipv1-train: xz.txt: is compressed (xz): must be text, in UTF-8$" train --text text.txt --valid xz.txt --vocab $vocab --out none
  wrong "^skipv1-train: latin.txt: is no text: not UTF-8 at byte $size$" train --text latin.txt --vocab $vocab --out none
  wrong "^skipv1-train: nul.txt: is no text: byte $((size + 1)) is NUL$" train --text nul.txt --valid text.txt --vocab $vocab --out none
done
wrong "^skipv1-eval: utf16.txt: is no text: not UTF-8 at byte 0$" eval mha --text utf16.txt
wrong "^skipv1-values: text.gz: is compressed (gzip)" values mha --text text.gz
wrong "^skipv1-uptrain: nul.txt: is no text" uptrain run mha --text nul.txt --out none
wrong "^skipv1-experiment: latin.txt: is no text" experiment point-bytes --short --text text.txt --valid latin.txt --out none

# A folder that may not be read is no missing model, no missing case and no place for another run.
[ "$(id -u)" != 0 ] || as="setpriv --reuid=65534 --regid=65534 --clear-groups"
mkdir closed blind
cp -r mha/step-00000002 closed/
cp -r mha blind/
chmod 000 closed
chmod 333 blind
if $as test -r text.txt 2> /dev/null && $as test -x "$programs/skipv1-eval"; then
  for folder in closed/step-00000002 closed; do
    wrong "^skipv1-eval: $folder: .*Permission denied$" eval $folder --text text.txt
    wrong "^skipv1-check: $folder: .*Permission denied$" check $folder
    wrong "^skipv1-generate: $folder: .*Permission denied$" generate $folder --prompt a
  done
  wrong "^skipv1-train: blind: cannot be read: Permission denied$" train --text text.txt --out blind
fi
chmod 755 closed blind
as=

# An empty prompt is one: the models of bytes have no mark to put before it.
wrong "^skipv1-generate: --prompt is empty: without a start mark before it there is nothing to continue$" generate mha --prompt ""
wrong "^skipv1-generate: --prompt is empty: without" generate mha --prompt= --count 2
wrong "^skipv1-generate: --prompt: is no text: not UTF-8 at byte 1; --tokens takes any tokens$" generate mha --prompt "$(printf 'a\377')" --json none
wrong "^skipv1-train: --valid is empty$" train --text text.txt --valid= --out none
wrong "^skipv1-plot: logs is required; --y has all up to the next option: loss mha$" plot --y loss mha --out none.png
wrong "^skipv1-generate: --prompt or --tokens is required: without them, and no start mark, there is nothing to continue$" generate mha

# Nor is there anything to add to a prompt that fills the context.
wrong "^skipv1-generate: a prompt of 32 tokens fills the model's context: nothing can be added to it$" generate mha --prompt "$(head -c 32 text.txt)"
wrong "^skipv1-check: $cases: not a case, but a folder of [0-9]*: name each, as $cases/\\* does$" check "$cases"

echo '[{"case": "mine", "pass": true}]' > list.json
wrong "^skipv1-check: list.json: is there, and without \"check\" no result of this program: numbers do not take its place$" check "$cases/llama_mha" --json list.json

# A length that is not given is no longer than the model's context.
run " steps of 2 x 32 tokens" uptrain run mha --text text.txt --steps 1 --batch 2 --out uptrained
run " steps of 2 x 32 tokens" train --from mha --text text.txt --steps 1 --batch 2 --out further
run " steps of 2 x 8 tokens" train --text text.txt $small --steps 1 --context 8 --out short
run " steps of 2 x 8 tokens" train --text text.txt --config short/step-00000001/config.json --steps 1 --batch 2 --out config
run " steps of 2 x 256 tokens" train --text text.txt $small --steps 1 --context 300 --out long
run "^goes on after step 1$" train --out short --resume
wrong "^skipv1-uptrain: --length 33: the model reads at most 32 " uptrain run mha --text text.txt --length 33 --out none
run "^a case of 2 x 8 tokens, seed 3, in eight$" make-case short/step-00000001/config.json --seed 3 --out eight
for again in 1 2; do run "^1 of 1 cases hold$" check eight --json checked.json; done

# Who has written something says what.
run "^loss.png, loss.svg ([0-9]* x [0-9]*): 2 lines$" plot mha further --out loss.png
run "^loss.svg ([0-9]* x [0-9]*): 1 line$" plot mha --out loss.svg
run "^  trace: 18 tensors in trace$" check "$cases/llama_mha" --trace trace
bytes="experiment point-bytes --short"
run "^tokens: vocabularies and the texts' tokens$" $bytes --text text.txt --tokenizer-folder tokens --prepare --out bytes.json
run "^bytes-1-of-9.json: 1 run$" $bytes --text text.txt --only mha --seeds 1 --shard 1/9 --out bytes.json
run "^bytes.json: 1 run$" $bytes --merge bytes-1-of-9.json --only mha --seeds 1 --out bytes.json
run "^bytes.png, bytes.svg ([0-9]* x [0-9]*)$" $bytes --out bytes.json --figure bytes.png

# Who is interrupted leaves no lock and nothing in the making.
"$programs/skipv1-train" --text text.txt $small --length 32 --steps 1000000 --checkpoint-every 7 --out ended > out 2> err & pid=$!
while [ ! -e ended/log.csv ] && kill -0 $pid; do sleep 0.02; done
sleep 0.2
status=0
kill $pid
wait $pid || status=$?
left=$(echo ended/*)
case $status,$left in
  *lock* | *part*) fail "interrupted: left are $left" ;;
  143,ended/log.csv\ ended/log.jsonl\ ended/step-*) ;;
  *) fail "interrupted: status $status, left are $left, $(tail -n 1 err)" ;;
esac

# Weights of 3.4e38 are float32 and no bfloat16: nobody would read what is written of them. Norms of such rows overflow in float32,
# and a loss over them is no number, not that of a model without an opinion.
large() {  # NAME: the model mha with such embeddings, its first tensor
  cp -r mha/step-00000002 "$1"
  header=$(od -An -t u8 -N 8 "$1/model.safetensors")
  count=$((256 * 16))
  { head -c $((8 + header)) mha/step-00000002/model.safetensors && printf '\236\311\177\177%.0s' $(seq $count)
    tail -c +$((8 + header + 4 * count + 1)) mha/step-00000002/model.safetensors; } > "$1/model.safetensors"
}
large large
line='tensor "model.embed_tokens.weight": element 0 is 3.4e+38, which is inf in BF16: must be finite$'
wrong "^skipv1-export: $line" export large --out none --dtype bf16
wrong "^skipv1-uptrain: $line" uptrain convert large --out none --dtype BF16
run "exported" export large --out exported
for device in cpu emulated; do
  status=0
  "$programs/skipv1-eval" large --text text.txt --length 8 --windows 1 --device $device > out 2> err || status=$?
  [ $status -eq 2 ] && grep -q "^skipv1-eval: large: its loss over text.txt is -*nan in f32$" err || fail "eval large: $(cat out err)"
done
wrong "the logit of token 0 is NaN$" generate large --prompt a --count 1

# What stands behind a NUL byte of a JSON file is read, too.
nul() { { cat "$1" && printf '\0{"garbage": ['; } > "$2"; }
nul mha/step-00000002/config.json nul.json
line="not JSON: byte $(wc -c < mha/step-00000002/config.json) is NUL$"
wrong "^skipv1-train: nul.json: $line" train --text text.txt --config nul.json --steps 1 --length 32 --out none
cp -r mha/step-00000002 nul
nul mha/step-00000002/config.json nul/config.json
wrong "^skipv1-eval: nul/config.json: $line" eval nul --text text.txt
nul mha/result.json result.json
wrong "^skipv1-plot: result.json: not JSON: byte " plot result.json --out none.png
printf '{"values": ["0.0 0.1", "1.0 0.1"]}\0[' > table.json
wrong "^skipv1-plot: table.json: not JSON: byte 34 is NUL$" plot --routing table.json --out none.png

# A line says what was asked for, in enough digits; it names the thing that is in the way, and what else there is.
wrong "skip-ratio is 1.0000000001: must be 0 to 1" train --text text.txt $small --length 32 --skip-ratio 1.0000000001 --out none
wrong "known are mha, .*, table, or a file that ends in .json$" train --text text.txt --variant table.jsn --length 32 --out none
mkdir -p locked/lock
wrong "^skipv1-train: locked/lock: cannot be written: Is a directory$" train --text text.txt $small --length 32 --out locked
wrong "^skipv1-uptrain: A subcommand is required: convert or run; not expected without one: --out q$" uptrain --out q
wrong "run.json: --steps is 9, the run to be resumed has 2: what it has learned goes on in a new run, with --from this one and no --resume$" train --out mha --resume --steps 9
run "mha, gqa, mqa, skipv1, .*, or the file of a routing table" train --help
run "10M-13M, 42M-26M" experiment --help
run '"exchanged"' values --help
run '^  "attention": {$' train --out mha --resume --json -

# What contradicts itself in a file of results is refused.
run "8192/mha@4e-3" experiment contexts --short --text text.txt --only 8192/mha --peaks 4e-3 --out contexts.json --table
edited() { sed "$2" contexts.json > edited.json && wrong "^skipv1-experiment: edited.json: run 1 of 1 .*: \"places.$1" experiment contexts --out edited.json --table; }
edited 'begin": expected 0, found 7$' 's/"begin": 0/"begin": 7/'
edited 'begin": expected a later place than the part before, found 0$' 's/"begin": 1[0-9]*/"begin": 0/; s/"begin": [2-9][0-9]*/"begin": 0/'
edited 'nats_per_token": expected 0 to 1e6, found -' 's/"nats_per_token": /&-/'
