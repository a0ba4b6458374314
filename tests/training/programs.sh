#!/bin/sh
# Usage: programs.sh PROGRAMS WORK TEXT. The programs one after the other on one small model, and what they say to wrong arguments.
set -eu
. "$(dirname "$0")/../begin.sh"
cp "$text" text.txt
same() { [ -n "$1" ] && [ "$1" = "$2" ] || fail "$3: $1 and $2"; }

# Trained, evaluated and continued; a vocabulary goes with its model.
small="--width 16 --layers 2 --heads 4 --length 32 --batch 2 --steps 8 --checkpoint-every 3 --threads 2"
run train --text text.txt --valid text.txt --vocab 400 --variant mha $small --out mha
[ -s mha/step-00000008/tokenizer.model ] || fail "no vocabulary beside the model"
run eval mha --text text.txt --batch 2 --json eval.json
same "$(number mha/result.json final_nats_per_token)" "$(number eval.json loss)" "loss at the end and by skipv1-eval"
[ "$(number eval.json predicted_bytes)" -gt 10000 ] || fail "not the whole text"
run generate mha --prompt "The namespace" --count 12 --seed 3
mv out first
grep -q 'cache: 256 bytes per token' err || fail "$(cat err)"
run generate mha/step-00000008 --prompt "The namespace" --count 12 --seed 3 --json generate.json
cmp first out
grep -q '^The namespace' out || fail "the prompt is lost: $(cat out)"
"$programs/skipv1-generate" mha --prompt "The namespace" --count 3 > out 2>&1 || fail "both streams in one file: $(cat out)"
tail -n 1 out | grep -q "^3 tokens after" || fail "the end of the text comes late: $(cat out)"
run plot mha mha/log.jsonl --smooth 2 --references 5.5=line 5 --out loss.png
[ "$(head -c 4 loss.png | tail -c 3)" = PNG ] || fail "no PNG"

# The same model by config.json; the same seed gives the same bits in any number of threads; f64; gpt2.
run train --text text.txt --valid text.txt --config mha/step-00000008/config.json --tokenizer mha/step-00000008/tokenizer.model \
  --length 32 --batch 2 --steps 8 --threads 1 --out config
cmp mha/step-00000008/model.safetensors config/step-00000008/model.safetensors
run train --text text.txt --architecture gpt2 --variant skipv1 $small --dtype f64 --out gpt2
run train --out gpt2 --resume
run eval gpt2 --text text.txt --dtype f64

# On the emulated device, as on the CPU but for rounding. A device that is none of ours is refused.
tiny="--text text.txt --valid-share 0.02 --width 16 --layers 2 --heads 2 --length 16 --batch 2"
run train $tiny --steps 2 --device emulated --out emulated
run train $tiny --steps 2 --out on-cpu
same "$(number emulated/result.json final_nats_per_token | cut -c1-6)" "$(number on-cpu/result.json final_nats_per_token | cut -c1-6)" "loss on both"
run eval emulated --text text.txt --windows 4 --device emulated --dtype bf16
run generate emulated --prompt The --count 2 --device emulated
same "$(cut -c1-3 out)" The "the prompt and what was said"
"$programs/skipv1-train" $tiny --device abacus --out abacus > out 2> err && fail "an abacus was a device"
grep -q "\-\-device abacus: must be cpu, cuda or emulated" err || fail "$(cat err)"

# On the GPU, where there is one: in bfloat16, and in float as on the CPU. Elsewhere one line says why not.
status=0
"$programs/skipv1-train" $tiny --device cuda --dtype bf16 --out device > out 2> err || status=$?
if [ $status = 0 ]; then
  run train $tiny --device cuda --dtype f32 --out device-f32
  run train $tiny --out cpu
  same "$(number device-f32/result.json final_nats_per_token | cut -c1-6)" "$(number cpu/result.json final_nats_per_token | cut -c1-6)" "loss on both"
  run eval device --text text.txt --windows 20 --device cuda --dtype bf16
  run generate device --prompt The --count 5 --device cuda --dtype bf16
  same "$(cut -c1-3 out)" The "the prompt and what was said"
else
  [ $status = 2 ] && [ "$(grep -c . err)" = 1 ] && grep -q "skipv1-train: --device cuda: .*CUDA" err || fail "status $status: $(cat err)"
  [ ! -e device ] || fail "a run was begun without a device"
fi

# Converted by every strategy, and trained on.
for strategy in mean_v mean_vo top_v top_vo svd; do
  run uptrain convert mha --strategy $strategy --out $strategy
  run eval $strategy --text text.txt --json $strategy.json
done
run uptrain run mha --strategy svd --text text.txt --valid text.txt --length 32 --batch 2 --steps 4 --evaluate-every 2 --evaluate-windows 0 \
  --out uptrained
same "$(sed -n 2p uptrained/log.csv | cut -d, -f6 | cut -c1-7)" "$(number svd.json loss | cut -c1-7)" "loss before uptraining"
run uptrain run --out uptrained --resume
run train --from uptrained --text text.txt --length 16 --batch 1 --steps 1 --out further

# Wrong arguments: one line, status 2, and nothing written.
wrong() {
  expected=$1
  shift
  status=0
  "$@" > out 2> err || status=$?
  [ $status -eq 2 ] || fail "$*: status $status"
  [ "$(wc -l < err)" -eq 1 ] || fail "$*: says $(cat err)"
  grep -q -- "$expected" err || fail "$*: says $(cat err)"
  [ ! -e none ] && [ ! -e none.png ] || fail "$*: wrote something"
}
cd "$work"
train="$programs/skipv1-train --out none"
printf "\377\376" > binary.txt
printf "ab" > two.txt
: > empty.txt
wrong "^skipv1-train: The following argument was not expected: --bogus$" "$programs/skipv1-train" --bogus
wrong '^skipv1-experiment: experiment "list" is unknown; known are ' "$programs/skipv1-experiment" list
wrong "^skipv1-experiment: --out is required$" "$programs/skipv1-experiment" rates
wrong "holds a run already, at step 8" "$programs/skipv1-train" --out mha --text text.txt
wrong "width is 32, the run to be resumed has 16" "$programs/skipv1-train" --out mha --resume --width 32
wrong "not the text that the run" "$programs/skipv1-train" --out mha --resume --text binary.txt
run train --out config --resume --tokenizer mha/step-00000008/tokenizer.model  # what it holds is compared, too
mv config/step-00000008/tokenizer.model kept.model
run train --text text.txt --vocab 420 --variant mha --width 16 --layers 1 --heads 2 --length 16 --batch 2 --steps 1 --out larger
cp larger/step-00000001/tokenizer.model config/step-00000008/
wrong "tokenizer.model: not the vocabulary of the run to be resumed" "$programs/skipv1-train" --out config --resume --tokenizer mha/step-00000008/tokenizer.model
mv kept.model config/step-00000008/tokenizer.model
mv config/step-00000008/config.json kept.json
sed 's/"rope_theta": [^,]*/"rope_theta": 50000.0/' kept.json > config/step-00000008/config.json
wrong '^skipv1-train: config/step-00000008/config.json: not the configuration of the run to be resumed: "rope_theta" is 50000.0, the run.s is 10000.0$' \
  "$programs/skipv1-train" --out config --resume
sed 's/"variant": "mha"/&, "skip_ratio": 0.25/' kept.json > config/step-00000008/config.json
wrong '"attention.skip_ratio" is 0.25, the run.s is not there$' "$programs/skipv1-train" --out config --resume
cp kept.json config/step-00000008/config.json
mv mha/step-00000008/config.json mha.json
sed 's/"rope_theta": [^,]*/"rope_theta": 50000.0/' mha.json > mha/step-00000008/config.json
wrong '/mha/step-00000008/config.json: not the configuration of the run to be resumed: "rope_theta" is 50000.0' "$programs/skipv1-train" \
  --out config --resume --config mha/step-00000008/config.json
mv mha.json mha/step-00000008/config.json
sed '/^  "config": {/,/^  }/d; s/\("valid_fingerprint": "[^"]*"\),/\1/' config/step-00000008/run.json > old.json
mv config/step-00000008/run.json kept-run.json
mv kept.json config/step-00000008/config.json
cp old.json config/step-00000008/run.json
run train --out config --resume  # a run of before has no configuration there
sed 's/\("valid_fingerprint": "[^"]*"\)/\1, "config_fingerprint": "0"/' old.json > config/step-00000008/run.json
wrong "not what the run to be resumed has written: its fingerprint" "$programs/skipv1-train" --out config --resume
mv kept-run.json config/step-00000008/run.json
run train --out config --resume
cp config/log.jsonl kept.jsonl
sed 1d kept.jsonl > config/log.jsonl
wrong "^skipv1-train: config/log.jsonl: has [0-9]* rows up to step 8, the checkpoint of that step knows of [0-9]*: " "$programs/skipv1-train" --out config --resume
mv config/log.csv kept.csv
mv kept.jsonl config/log.jsonl
wrong "^skipv1-train: config/log.csv: has 0 rows up to step 8, the checkpoint" "$programs/skipv1-train" --out config --resume
[ ! -e config/log.csv ] || fail "a log was begun beside one"
mv kept.csv config/log.csv
run train --out config --resume
mv config/step-00000008/second_moment.safetensors kept.moment
cp config/step-00000008/first_moment.safetensors config/step-00000008/second_moment.safetensors
wrong "second_moment.safetensors: an element is negative, which a mean of squares never is$" "$programs/skipv1-train" --out config --resume
mv kept.moment config/step-00000008/second_moment.safetensors
rm config/result.json
mkdir config/result.json
wrong "^skipv1-train: config/result.json: cannot be written: Is a directory$" "$programs/skipv1-train" --out config --resume
rmdir config/result.json
wrong "no checkpoint to resume" $train --resume
wrong "text or --tokens is required" $train
wrong "nowhere.txt: cannot be read" $train --text nowhere.txt
for size in 0 1 255 257 259 4294967296; do
  wrong "^skipv1-train: --vocab is $size: must be 256 (bytes), or 260 (3 marks, 256 bytes, the space) and one more for each other character of the text, to 2147483647$" $train --text text.txt --vocab $size
done
wrong "^skipv1-train: --valid-share: how much of --text or --tokens is held out, so without --valid" $train --text text.txt --valid text.txt \
  --valid-share 0.2
printf '{"values": ["0.0 0.1", "0.0 1.1"]}' > unread.json
wrong "^skipv1-train: unread.json: routing: layer 1 would compute value head 0, which nobody reads$" $train --text text.txt --layers 2 --heads 2 \
  --variant unread.json
for count in 0 4097 1000000000; do wrong "^skipv1-train: --layers is $count: must be 1 to 4096$" $train --text text.txt --layers $count; done
wrong "^skipv1-train: --width 30 is not a multiple of --heads 4$" $train --text text.txt --width 30 --heads 4
wrong "^skipv1-train: --heads 4 is not a multiple of --kv-heads 3$" $train --text text.txt --heads 4 --kv-heads 3
wrong "^skipv1-train: variant mqa: --kv-heads is 4: must be 1$" $train --text text.txt --variant mqa --heads 4
wrong "^skipv1-train: variant mha: --kv-heads 2 must equal --heads 4 " $train --text text.txt --variant mha --heads 4 --kv-heads 2
wrong "^skipv1-train: injection dynamic: only skipv1 with --kv-heads equal to --heads and --source-layer 0 has it$" $train --text text.txt \
  --injection dynamic --source-layer 1
wrong "^skipv1-train: --width / --heads is 5: RoPE needs an even head width$" $train --text text.txt --width 20 --heads 4
wrong "^skipv1-train: --rope-theta is -1: must be positive$" $train --text text.txt --rope-theta -1
wrong "^skipv1-train: --length is 0: must be 1 to" $train --text text.txt --length 0
wrong "^skipv1-train: --learn-value-mix with variant skipv1: only resformer" $train --text text.txt --learn-value-mix
wrong "^skipv1-train: --steps is 0: must be positive$" $train --text text.txt --steps 0
wrong "^skipv1-train: --warm-up is 2: must be 0 to 1$" $train --text text.txt --warm-up 2
wrong "^skipv1-train: --weight-decay is -1: must be 0 or more$" $train --text text.txt --weight-decay -1
wrong "^skipv1-train: --valid-share is 1: must be above 0, below 1$" $train --text text.txt --valid-share 1
wrong "^skipv1-train: --length 9: the model reads at most 8 (--context)$" $train --text text.txt --valid text.txt --context 8 --length 9  # no word before
wrong "^skipv1-generate: --top-p is 2: must be above 0, at most 1$" "$programs/skipv1-generate" mha --prompt a --top-p 2
wrong "^skipv1-generate: model is empty$" "$programs/skipv1-generate" "" --prompt a
wrong "^skipv1-train: --kv-latent is 0: must be" $train --text text.txt --variant mla
wrong "^skipv1-train: --architecture: expected" $train --text text.txt --architecture t5
wrong "variant \"what\" is unknown" $train --text text.txt --variant what
wrong "two.txt: .*too short for a window" $train --text two.txt --valid text.txt
wrong "length 64: the model reads at most" $train --text text.txt --from mha --length 64
wrong "config excludes --width" $train --text text.txt --config mha/step-00000008/config.json --width 8
wrong "^skipv1-train: --dtype f16 on --device cpu: must be f32 or f64$" $train --text text.txt --dtype f16
wrong "skip-ratio with variant mha: only skipv1, skipv0, skipkv1, skipv1_yoco has it" $train --text text.txt --variant mha --skip-ratio 0.25
wrong "value-mix with variant svformer: only skipv1, resformer has it" $train --text text.txt --variant svformer --value-mix 0.25
wrong "kv-latent with variant skipv1: only mla, skipv1_mla has it" $train --text text.txt --variant skipv1 --kv-latent 8
wrong "steps: -1: must not be negative" $train --text text.txt --steps -1
wrong "^skipv1-train: --threads: -1: must be at least 0$" $train --text text.txt --threads -1
wrong "steps: \"0x10\": must be a whole number" $train --text text.txt --steps 0x10
wrong "seed: 18446744073709551616: must be at most" $train --text text.txt --seed 18446744073709551616
wrong "peak: \"nan\": must be a finite number" $train --text text.txt --peak nan
wrong "batch 200000000 of length 16: a step has at most" $train --text text.txt --length 16 --batch 200000000 --steps 1
wrong "text.txt (its last [0-9]* bytes are held out): --vocab 100000 cannot be trained on [0-9]* bytes: " $train --text text.txt --vocab 100000
wrong "^skipv1-train: text.txt (its last [0-9]* bytes are held out): a text of [0-9]* bytes is too short for 100001 tokens, in any vocabulary$" \
  $train --text text.txt --vocab 400 --length 100000 --width 16 --heads 2 --layers 1 --batch 1
printf 'zyxwvutsrqponmlkjihgfedcba zyx\nabc\n' > letters.txt
wrong "^skipv1-train: letters.txt: --vocab 260: the text has 27 different characters, the space among them: must be at least 286, of which 256 are bytes and 3 are marks$" \
  $train --text letters.txt --valid text.txt --vocab 260 --length 8
wrong "^skipv1-train: text.txt (its last [0-9]* bytes are held out): --vocab 20000 cannot be trained on [0-9]* bytes: they give at most [0-9]*$" $train --text text.txt --vocab 20000

# What takes more memory than there is is refused before the work, by what asks for it.
gb="[0-9.]* GB of memory, [0-9.]* GB are left$"
if [ -r /proc/meminfo ]; then
  wrong "^skipv1-train: --width 100000000, --layers 6, --ffn 266666672, vocabulary 256: a training of [0-9]* parameters takes at least $gb" \
    $train --text text.txt --width 100000000
  wrong "^skipv1-train: --batch 8000000, --length 256: a step takes at least $gb" $train --text text.txt --batch 8000000
  wrong "^skipv1-uptrain: --batch 100000000, --length 16: a step takes at least $gb" "$programs/skipv1-uptrain" run mha --text text.txt \
    --length 16 --batch 100000000 --out none
fi
wrong "text.txt: nothing can be written into this folder: " "$programs/skipv1-train" --out text.txt --text text.txt
wrong "/dev/zero: cannot be read: it is neither" $train --text /dev/zero
wrong "step [0-9]*: the loss is .*: the run has diverged; the last checkpoint is of step" "$programs/skipv1-train" --text text.txt --width 16 \
  --layers 2 --heads 2 --length 16 --batch 2 --peak 1e30 --clip 0 --steps 9 --out diverged
wrong "^skipv1-train: none/result.json: cannot be written" $train --text text.txt --json none/result.json
wrong "out is empty$" "$programs/skipv1-train" --out "" --text text.txt
if [ -e /dev/full ]; then  # what cannot be written is no success before
  "$programs/skipv1-train" $tiny --steps 1 --out full --json /dev/full > out 2> err && fail "a full disk: $(cat out)"
  tail -n 1 err | grep -q "^skipv1-train: /dev/full: cannot be written: " && ! grep -q "model in" out || fail "a full disk: $(cat out err)"
fi
wrong "neither a model" "$programs/skipv1-eval" . --text text.txt
wrong "^skipv1-eval: empty.txt: is empty$" "$programs/skipv1-eval" mha --text empty.txt
wrong "^skipv1-eval: --json is empty$" "$programs/skipv1-eval" mha --text text.txt --json ""
wrong "^skipv1-eval: empty.txt: not a llama2.c checkpoint: 0 bytes, its header has 28$" "$programs/skipv1-eval" empty.txt --text text.txt
wrong "^skipv1-generate: --start-mark yes: tokenizer bytes has no such mark$" "$programs/skipv1-generate" gpt2 --prompt a --start-mark yes
printf x > one.txt
wrong "one.txt: .*too short to predict any" "$programs/skipv1-eval" mha --text one.txt
wrong "windows: -1: must not be negative" "$programs/skipv1-eval" mha --text text.txt --windows -1
wrong "^skipv1-eval: none/loss.json: cannot be written" "$programs/skipv1-eval" mha --text text.txt --json none/loss.json
wrong "model.safetensors: a safetensors file: a model is a folder" "$programs/skipv1-eval" config/step-00000008/model.safetensors \
  --text text.txt
wrong "^skipv1-generate: --prompt: is no text: not UTF-8 at byte 0; " "$programs/skipv1-generate" mha --prompt "$(cat binary.txt)"
wrong "temperature is -1" "$programs/skipv1-generate" mha --temperature -1
wrong "^skipv1-generate: --dtype f64 on --device cpu: must be f32$" "$programs/skipv1-generate" mha --prompt a --dtype f64
wrong "^skipv1-generate: --dtype f16 on --device cpu: must be f32$" "$programs/skipv1-generate" mha --prompt a --dtype f16
wrong "^skipv1-generate: --one-kernel on: with --device cuda or emulated alone$" "$programs/skipv1-generate" mha --prompt a --one-kernel on
wrong "^skipv1-generate: --prompt or --tokens is required: " "$programs/skipv1-generate" mha
wrong "^skipv1-generate: none/said.json: cannot be written" "$programs/skipv1-generate" mha --prompt a --json none/said.json
wrong "^skipv1-generate: --count 40 after a prompt of 1 token: the model reads at most 32$" "$programs/skipv1-generate" mha --prompt a --count 40
wrong "no column of numbers \"lost\"; there are gradient_norm, " "$programs/skipv1-plot" mha --y lost --out none.png
printf 'name,ours,peer\nfirst,1,\nsecond,2,x\n' > rows.csv
"$programs/skipv1-plot" rows.csv --rows name --y ours --out rows.svg
wrong "no column \"what\"; there are name, ours, peer" "$programs/skipv1-plot" rows.csv --rows what --y ours --out none.png
wrong "^skipv1-plot: rows.csv: line 3, peer: \"x\" is not a number$" "$programs/skipv1-plot" rows.csv --rows name --y ours peer --out none.png
printf '\357\273\277name,ours\r\nfirst,1\r\nsecond,2\r\n' > windows.csv
"$programs/skipv1-plot" windows.csv --rows name --y ours --out windows.svg
printf 'name,ours\n' > names.csv
wrong "^skipv1-plot: names.csv: has no line after the names of its columns$" "$programs/skipv1-plot" names.csv --rows name --y ours --out none.png
wrong "^skipv1-plot: mha: cannot be read: it is a folder" "$programs/skipv1-plot" mha --rows name --y ours --out none.png
wrong "^skipv1-plot: SKIPV1_FONT: text.txt: must be a TrueType font" env SKIPV1_FONT=text.txt "$programs/skipv1-plot" mha --out none.png
wrong "^skipv1-plot: none.png: cannot be written: File too large$" sh -c 'ulimit -f 1; exec "$@"' sh "$programs/skipv1-plot" mha --out none.png
wrong "must be NUMBER or NUMBER=LABEL" "$programs/skipv1-plot" mha --references 1.5,a --out none.png
printf 'step,loss\n0,0\n0,0\n' > zero.csv
wrong "^skipv1-plot: zero.csv: column \"step\" has no number above 0, and --log-x shows no others$" "$programs/skipv1-plot" zero.csv --x step \
  --log-x --log-y --out none.png
printf 'step,loss\n1,-1e308\n2,1e308\n' > wide.csv
wrong "^skipv1-plot: wide.csv: the chart: its y axis cannot go from " "$programs/skipv1-plot" wide.csv --x step --out none.png
wrong "must be NUMBER or NUMBER=LABEL" "$programs/skipv1-plot" mha --references nan --out none.png
wrong "^skipv1-plot: --labels: 2 for 1 log: must be as many$" "$programs/skipv1-plot" mha --labels a b --out none.png
wrong "y: loss is there twice" "$programs/skipv1-plot" mha --y loss loss --out none.png
wrong "logs: mha/ is there twice" "$programs/skipv1-plot" mha mha/ --out none.png
wrong "smooth: 0: must be at least 1" "$programs/skipv1-plot" mha --smooth 0 --out none.png
wrong "none/x.png: cannot be written" "$programs/skipv1-plot" nowhere --out none/x.png
wrong "x-range is 3 to 1: must rise" "$programs/skipv1-plot" mha --x-range 3 1 --out none.png
wrong "a.jpg: a figure's name must end in .png (an SVG is written beside it) or .svg" "$programs/skipv1-plot" mha --out a.jpg
wrong "a.jpg: a figure's name must end in" "$programs/skipv1-experiment" variants --out none --table --figure a.jpg
wrong "y-range is -1 to 2: a logarithmic axis has positive values only" "$programs/skipv1-plot" mha --log-y --y-range -1 2 --out none.png
wrong "nothing lies in --x-range 1e+09 to 2e+09: x goes from [0-9]* to [0-9]*, y from" "$programs/skipv1-plot" mha --x-range 1e9 2e9 --out none.png
wrong "nothing lies in --y-range 100 to 200: x goes" "$programs/skipv1-plot" mha --y-range 100 200 --out none.png
wrong "seeds: 0: must be 1 to 1000000" "$programs/skipv1-experiment" variants --out none --text text.txt --seeds 0
wrong "budget: \"nan\": must be a finite number" "$programs/skipv1-experiment" variants --out none --text text.txt --budget nan
wrong "strategy \"mean\" is unknown" "$programs/skipv1-uptrain" convert mha --strategy mean --out none
wrong "^skipv1-uptrain: svd: conversion to skipv1: variant is skipv1: must be mha" "$programs/skipv1-uptrain" convert svd --out none
wrong "^skipv1-uptrain: svd: conversion to skipv1: variant is skipv1: must be mha" "$programs/skipv1-uptrain" run svd --text text.txt --out none
wrong "exists already" "$programs/skipv1-uptrain" convert mha --out svd
wrong "^skipv1-uptrain: larger: conversion to skipv1: num_hidden_layers is 1: must be at least 2, " "$programs/skipv1-uptrain" convert larger --out none
wrong "^skipv1-uptrain: A subcommand is required: convert or run$" "$programs/skipv1-uptrain"
wrong "^skipv1-uptrain: The following arguments were not expected: --variant mha$" "$programs/skipv1-uptrain" run mha --text text.txt --out none \
  --variant mha
wrong "^skipv1-uptrain: --out is empty$" "$programs/skipv1-uptrain" convert mha --out ""
wrong "seed-list: 1 is there twice" "$programs/skipv1-experiment" point-bytes --out none --text text.txt --seed-list 1,1
wrong "only: mha is there twice" "$programs/skipv1-experiment" point-bytes --out none --text text.txt --only mha,mha
printf 'A short text.' > short.txt  # too short for a window; no vocabulary is trained before
wrong "^skipv1-experiment: short.txt: mha@5e-4: a text of 13 bytes is too short for [0-9]* tokens, in any vocabulary$" "$programs/skipv1-experiment" \
  frontier --short --out none --text text.txt --valid short.txt
wrong "^skipv1-check: --actual is empty$" "$programs/skipv1-check" mha --actual ""
wrong "experiment \"nope\" is unknown; known are point-bytes" "$programs/skipv1-experiment" nope --out none --table
wrong "experiment \"nope\" is unknown" "$programs/skipv1-experiment" nope --out none --text nowhere.txt

# A held-out text that is learned, too, gets a word, a part of one as well.
head -c 3000 text.txt > part.txt
for held_out in text part; do
  run train --text text.txt --valid $held_out.txt --width 8 --layers 2 --heads 2 --length 8 --batch 1 --steps 1 --out learned-$held_out
  grep -q "^$held_out.txt: held out is .*the text that is learned, text.txt: " err || fail "learned and held out: $(cat err)"
done
sed 's/[aeiou]/y/g' text.txt > other.txt
run train --text text.txt --valid other.txt --width 8 --layers 2 --heads 2 --length 8 --batch 1 --steps 1 --out learned-other
grep -q "held out is" err && fail "another text: $(cat err)"

# What a killed program has left of a file in the making goes with the next that writes it; what is another's stays.
sleep 0 & gone=$!
wait $gone
part=.skipv1-part
touch said.json$part-$gone said.json$part-$$ said.json$part-x other.json$part-$gone said.json.part-$gone
run generate mha --prompt a --count 1 --json said.json
[ "$(echo said.json* other.json$part*)" = "said.json said.json.part-$gone said.json$part-$$ said.json$part-x other.json$part-$gone" ] || fail "left: $(echo said.json*)"

# Numbers take the place of no text, no tensors and no configuration, which may be the command's own inputs.
echo '{"values": ["0.0 0.1", "1.0 0.1"]}' > table.json
echo '{"loss": 3.5, "text": "prose"}' > notes.json
echo '[{"loss": 3.5}]' > list.json
cp text.txt prose.txt
for input in prose.txt mha/step-00000008/config.json mha/step-00000008/model.safetensors table.json notes.json list.json; do
  cp "$input" kept.input
  wrong "^skipv1-eval: $input: is there, and .*: numbers do not take its place$" "$programs/skipv1-eval" mha --text text.txt --json "$input"
  wrong "^skipv1-train: $input: is there, and .*: numbers do not take its place$" $train --text text.txt --json "$input"
  cmp "$input" kept.input
done
wrong "^skipv1-train: table.json: is there, and without \"variant\" no result of this program: numbers" $train --text text.txt --variant table.json --json table.json
wrong "^skipv1-train: eval.json: is there, and without \"variant\" no result of this program: numbers" $train --text text.txt --json eval.json
cp eval.json said.txt  # a text may be numbers of before
wrong "^skipv1-eval: --json and --text are both said.txt: must be two places$" "$programs/skipv1-eval" mha --text said.txt --json said.txt
wrong "^skipv1-train: --json and --text are both text.txt: must be two places$" $train --text text.txt --json ./text.txt
mkdir diary
for file in log.csv log.jsonl result.json; do
  printf 'day,notes\n1,none' > diary/$file
  cp diary/$file kept.input
  wrong "^skipv1-train: diary/$file: is there, and no .* not take its place$" "$programs/skipv1-train" --text text.txt --out diary
  cmp diary/$file kept.input && [ "$(ls diary)" = $file ] || fail "--out diary: left $(ls diary)"
  rm diary/$file
done
: > empty.json
for file in empty.json eval.json; do run eval mha --text text.txt --batch 2 --json $file; done

# A file of results with a number missing, or of another experiment.
run experiment point-bytes --short --text text.txt --only mha --out results.json
run experiment point-bytes --out results.json --table
sed 's/"final_nats_per_token": [0-9.]*/"final_nats_per_token": null/' results.json > null.json
wrong "null.json: run 1 of 1 (\"mha\", seed 1): \"final_nats_per_token\": expected a number, found null" \
  "$programs/skipv1-experiment" point-bytes --out null.json --table
sed 's/"point-bytes"/"map"/' results.json > map.json
wrong "null.json: run 1 of 1" "$programs/skipv1-experiment" point-bytes --out null.json --short --text text.txt
wrong "results of another experiment: map" "$programs/skipv1-experiment" variants --out map.json --table
run experiment recall --short --only 8-pairs/mha --peaks 4e-3 --out recall.json
run experiment recall --out recall.json --table
grep -q "| 8-pairs/mha@4e-3 | [0-9]* | [0-9]* | 1 | [0-9.]* | [0-9.]* | never |" out || fail "recall: $(cat out)"
run experiment recall --short --only 8-pairs/mha --peaks 4e-3 --out fresh.json --table  # it needs no text to run
grep -q "| 8-pairs/mha@4e-3 |" out && [ -s fresh.json ] || fail "recall, run and printed: $(cat out)"
wrong "against skipv0: there is no such model; there are mha$" "$programs/skipv1-experiment" recall --out recall.json --table --against skipv0
wrong "against foo: there is no such model; there are mha, skipv1, skipkv1, " "$programs/skipv1-experiment" recall --short --out none --against foo
wrong "experiment recall reads no text: without --text$" "$programs/skipv1-experiment" recall --short --text text.txt --out none
wrong "peaks 3e-3: no run has it; there are 5e-4, 1e-3, 1.4e-3, 2e-3, 2.8e-3, 4e-3, 8e-3$" "$programs/skipv1-experiment" recall --short \
  --peaks 3e-3 --out none
wrong "peaks 3e-3: no run has it" "$programs/skipv1-experiment" contexts --short --text text.txt --peaks 2e-3,3e-3 --out none \
  --tokenizer-folder none.png
wrong "peaks 0: no run has it; there are 5e-4, 1e-3" "$programs/skipv1-experiment" frontier --short --text text.txt --only mha --peaks 0 --out none
wrong "peaks 2e-3: no run has it; there are 3e-4, 1e-3$" "$programs/skipv1-experiment" uptraining --short --text text.txt \
  --only mean_v,mean_v-fast --peaks 2e-3 --out none
sed 's/"final_accuracy": [0-9.]*/"final_accuracy": "all"/' recall.json > all.json
wrong "all.json: run 1 of 1 (\"8-pairs/mha@4e-3\", seed 1): \"final_accuracy\": expected a number" \
  "$programs/skipv1-experiment" recall --out all.json --table
edited() { sed "$2" recall.json > edited.json && wrong "edited.json: run 1 of 1 .*\"$1" "$programs/skipv1-experiment" recall --out edited.json --table; }
edited 'final_accuracy": expected 0 to 1, found 1.5' 's/"final_accuracy": [0-9.]*/"final_accuracy": 1.5/'
edited 'final_nats_per_token": expected 0 to 1e6, found -' 's/"final_nats_per_token": /&-/'
edited 'final_nats_per_token": expected 0 to 1e6, found 1' 's/"final_nats_per_token": [0-9.]*/"final_nats_per_token": 1e9/'
edited 'settings.peak" is 0.5, the label has 4e-3' 's/"peak": [0-9.e-]*/"peak": 0.5/'
edited 'tokens" ends with [0-9.]*, the settings. steps have ' 's/"steps": [0-9]*/"steps": 7/'
for name in '' '8-pairs/mha@4e-3 '; do edited "label\": expected a name without spaces, found \"$name\"" "s|\"label\": \"[^\"]*\"|\"label\": \"$name\"|"; done
sed 's/"bits_per_byte": [0-9.]*/"bits_per_byte": 0.5/' results.json > bits.json
wrong 'bits.json: run 1 of 1 .*: "bits_per_byte" is 0.5, of "final_nats_per_token", "final_tokens" and "final_bytes" it is ' \
  "$programs/skipv1-experiment" point-bytes --out bits.json --table
run experiment point-bytes --short --text text.txt --only mha,skipv1 --seeds 2 --out results.json --table
[ "$(grep -c "^| mha \|^| skipv1 " out)" = 2 ] || fail "two models: $(cat out)"
run experiment point-bytes --out results.json --only skipv1 --seed-list 2 --table
grep -q "^| skipv1 |.*| 1 |" out && ! grep -q "^| mha " out || fail "--only of what is shown: $(cat out)"
wrong "only nope: the results have no run, group or model of that name" "$programs/skipv1-experiment" point-bytes --out results.json --only nope --table
wrong "seed-list\|results.json: none of its results is of the runs asked for" "$programs/skipv1-experiment" point-bytes --out results.json --seed-list 9 --table
run experiment contexts --short --text text.txt --only 8192/mha --peaks 4e-3 --out contexts.json
sed 's/"places": \[$/"parts": [/' contexts.json > parts.json
wrong "parts.json: run 1 of 1 .*\"places\" is missing" "$programs/skipv1-experiment" contexts --out parts.json --table

# Texts from pipes, JSON to standard output alone, the version.
cat text.txt | "$programs/skipv1-eval" mha --text /dev/stdin --batch 2 --json - > out 2> err || fail "from a pipe: $(cat err)"
same "$(number out loss)" "$(number eval.json loss)" "loss of a file and of a pipe"
[ "$(head -c 1 out)" = "{" ] && grep -q "^loss " err || fail "--json -: $(cat out)"
run train --help
grep -q "threads, at most [0-9]*; 0: as many" out || fail "--help: $(grep -A 2 threads out)"
run train --version
grep -q "^skipv1 [0-9.]*$" out || fail "--version: $(cat out)"

# What values carry, of an MHA model and the SkipV1 model made of it. What --json writes is documented.
run values mha svd --text text.txt --windows 4 --probed 8 --json values.json
for file in eval.json generate.json mha/result.json values.json; do documented "$file"; done
grep -q '"layer 0.s values, for all later layers: exchanged"' values.json || fail "nothing was exchanged: $(cat values.json)"
[ "$(grep -c '"token":' values.json)" = 4 ] || fail "not one read-out for each of two layers of two models"
grep -q "^| position 0 to 1 " out && grep -q "+- (95 %)" out && ! grep -q "nan\|inf\|(0)" out || fail "values: $(cat out)"
[ "$(grep -c "^| bigram new ([0-9]*) | [0-9]" out),$(grep -c "^| bigram new ([0-9]*) | [+-]" out)" = 1,1 ] || fail "only differences have a sign: $(cat out)"
[ "$(grep -o "^| position [0-9]*" out | cut -d' ' -f3 | head -4 | tr '\n' ' ')" = "0 2 8 16 " ] || fail "positions: $(grep "^| pos" out)"
run train --text text.txt --valid-share 0.02 --variant mha --width 16 --layers 2 --heads 1 --length 16 --batch 2 --steps 1 --out one-head
run values one-head --text text.txt --windows 4 --probed 8 --json one-head.json
[ "$(grep -c "| one head |" out)" = 2 ] && grep -q '"tokens":' one-head.json || fail "a model of one head: $(cat out)"
run train --text text.txt --valid-share 0.02 --variant mha --architecture gpt2 --width 30 --layers 2 --heads 3 --length 16 --batch 2 --steps 1 \
  --out three-heads
run values three-heads --text text.txt --windows 4 --probed 8
grep -q "^| layer 1's own heads 0 to 1: zeros " out && grep -q "^| layer 1's own heads 2 to 2: zeros " out || fail "a model of three heads: $(cat out)"
wrong "^skipv1-values: larger: a vocabulary of 420: must be that of mha, 400$" "$programs/skipv1-values" mha larger --text text.txt
wrong "\-\-windows 1000000, \-\-probed 8: the text has" "$programs/skipv1-values" mha --text text.txt --windows 1000000 --probed 8
wrong "^skipv1-values: --probed 2, windows of 16 tokens: 30 rows for maps from the 16 values that a layer of mha reads: must be at least 36, as with --probed 3$" \
  "$programs/skipv1-values" mha --text text.txt --length 16 --probed 2
wrong "^skipv1-values: --length 1: must be at least 2" "$programs/skipv1-values" mha --text text.txt --length 1
wrong "^skipv1-values: one.txt: a text of 1 tokens is too short for a window of 32 " "$programs/skipv1-values" mha --text one.txt
wrong "\-\-length 64: mha reads at most 32" "$programs/skipv1-values" mha --text text.txt --length 64 --probed 8
