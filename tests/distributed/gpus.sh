#!/bin/sh
# Usage: gpus.sh BUILD WORK TEXT PART…. Training by all GPUs of a machine, or by GPUS of them; tests/cuda/run_gpu.sh several runs it.
#   scaling   a step by one GPU and by all: times, reductions, memory (skipv1-benchmark-gpu-scaling); CASES for --only, ROUNDS
#   curve     the losses of one GPU and of all at equal batches
#   kill      a process is killed, the first and the last: what the others say, how long it takes, and --resume to the same curve
#   shard     an experiment in parts, one for each GPU, joined: the same results as on one
# By mpirun where there is one and the build has MPI, else by torchrun. DEVICE and DTYPE (cuda, bf16) allow a trial without a GPU.
# shellcheck disable=SC2086  # settings are several words
set -eu
build=$1 work=$2 text=$3
shift 3
programs=$build/bin device=${DEVICE:-cuda} dtype=${DTYPE:-bf16}
gpus=${GPUS:-$(nvidia-smi -L | wc -l)}
mkdir -p "$work"
cd "$work"
export OMP_WAIT_POLICY=passive OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_rmaps_base_oversubscribe=1
command -v ssh > /dev/null || export OMPI_MCA_plm_rsh_agent=sh  # processes of this machine need none
by=torchrun
if command -v mpirun > /dev/null && grep -q "^MPI_.*LIBRARY.*=/" "$build/CMakeCache.txt"; then by=mpirun; fi
by=${LAUNCHER:-$by}
settings="--text $text --valid-share 0.02 --device $device --dtype $dtype ${MODEL:---width 512 --layers 8 --heads 8 --length 512 --batch 64 --steps 600 --peak 1e-3 --evaluate-every 100}"
failed=0
fail() {
  echo "gpus.sh: $*"
  failed=1
}
# launch N PROGRAM …: exec, so that the processes are children of the one that the shell knows.
launch() {
  count=$1
  shift
  echo "\$ $by $([ $by = mpirun ] && echo "-n $count" || echo "--no_python --nproc_per_node $count") $(basename "$1") $(shift; echo "$*" | sed "s|$text|text.txt|")"
  if [ $by = mpirun ]; then exec mpirun -n "$count" "$@"; else exec torchrun --no_python --nproc_per_node "$count" "$@"; fi
}
now() { date +%s%N; }
# milliseconds FROM
milliseconds() { echo $((($(now) - $1) / 1000000)); }
# The largest difference of the losses in two logs of equally many steps.
differ() {
  paste -d, "$1/log.csv" "$2/log.csv" | awk -F, 'NR == 1 { half = NF / 2; next } {
    d = $3 - $(half + 3); if (d < 0) d = -d; sum += d; if (d > most) { most = d; at = $1 } }
    END { printf "%d rows; the losses differ by at most %.2g (step %d), by %.2g on average; last %.4f and %.4f\n", NR - 1, most, at, sum / (NR - 1), $3, $(half + 3) }'
}
# The mean rate of the second half of a log, in tokens/s, over steps without an evaluation or a checkpoint.
rate() {
  awk -F, 'NR == 1 { for (i = 1; i <= NF; ++i) column[$i] = i; next }
    { t[NR] = $column["tokens"]; s[NR] = $column["seconds"] }
    END { for (i = int(NR / 2); i < NR; ++i) { d = s[i + 1] - s[i]; n[++count] = d; token = t[i + 1] - t[i] }
      for (i = 2; i <= count; ++i) { x = n[i]; for (j = i - 1; j > 0 && n[j] > x; --j) n[j + 1] = n[j]; n[j + 1] = x }
      printf "%.0f tokens/s\n", token / n[int((count + 1) / 2)] }' "$1/log.csv"
}

for part in "$@"; do
  echo "# $part, $gpus GPUs, by $by"
  case $part in
    scaling)
      for count in ${COUNTS:-1 $gpus}; do
        (launch "$count" "$build/tests/skipv1-benchmark-gpu-scaling" --rounds "${ROUNDS:-7}" ${CASES:+--only $CASES}) 2>&1 || fail "$count: status $?"
      done ;;
    curve)
      rm -rf one several
      (launch 1 "$programs/skipv1-train" $settings --out one) > one.txt 2>&1 || fail "one: $(tail -n 3 one.txt)"
      (launch "$gpus" "$programs/skipv1-train" $settings --out several) > several.txt 2>&1 || fail "several: $(tail -n 3 several.txt)"
      for run in one several; do
        grep '^\$' $run.txt
        echo "$run: $(rate $run); $(grep '^held out' $run.txt)"
      done
      differ one several ;;
    kill)
      rm -rf killed
      for victim in 0 $((gpus - 1)); do
        (launch "$gpus" "$programs/skipv1-train" $settings --checkpoint-every 100 --out killed --resume) > out.txt 2> err.txt &
        job=$!
        before=$(ls -d killed/step-???????? 2> /dev/null | tail -n 1)
        while kill -0 $job 2> /dev/null && { [ "$(ls -d killed/step-???????? 2> /dev/null | tail -n 1)" = "$before" ] || ! grep -qs "^learns from" out.txt; }; do sleep 0.02; done
        while kill -0 $job 2> /dev/null && [ "$(ls -d killed/step-???????? 2> /dev/null | wc -l)" -lt 2 ] && [ "$(ls -d killed/step-???????? 2> /dev/null | tail -n 1)" = killed/step-00000000 ]; do sleep 0.02; done
        sleep 0.3
        process=
        for status in /proc/[0-9]*/status; do
          grep -q "^PPid:[[:space:]]*$job\$" "$status" 2> /dev/null || continue
          other=$(dirname "$status")
          rank=$(tr '\0' '\n' < "$other/environ" 2> /dev/null | sed -n -e 's/^OMPI_COMM_WORLD_RANK=//p' -e 's/^RANK=//p')
          [ "$rank" != "$victim" ] || process=$(basename "$other")
        done
        if [ -z "$process" ] || ! kill -9 "$process" 2> /dev/null; then
          wait $job || true
          fail "nothing to be killed: $(cat err.txt)"
          continue
        fi
        begin=$(now)
        while [ -e "/proc/$process" ] && ! grep -qs '^State:[[:space:]]*Z' "/proc/$process/status"; do sleep 0.01; done
        gone=$(milliseconds "$begin")
        while kill -0 $job 2> /dev/null && ! grep -q "has died" err.txt; do sleep 0.01; done
        said=$(milliseconds "$begin")
        status=0
        wait $job || status=$?
        echo "rank $victim of $gpus killed: it was gone after $gone ms, the others said so after $said ms, all had ended after $(milliseconds "$begin") ms, status $status; checkpoints: $(ls -d killed/step-???????? | tr '\n' ' ')"
        grep "^skipv1-train: " err.txt | sed "s/process $process/process P/"
        [ $status -ne 0 ] || fail "status 0 after a kill"
      done
      (launch "$gpus" "$programs/skipv1-train" --out killed --resume --device $device) > out.txt 2> err.txt || fail "does not go on: $(cat err.txt)"
      grep '^\$' out.txt
      grep '^held out' out.txt
      [ ! -e several/log.csv ] || differ several killed ;;
    shard)
      rm -f whole.json joined.json part*.json
      list="${EXPERIMENT:-recall --only 64-pairs --peaks 2e-3 --seeds 1 --at-once 3} --device $device --dtype $dtype"
      begin=$(now)
      CUDA_VISIBLE_DEVICES=0 "$programs/skipv1-experiment" $list --out whole.json > whole.txt 2>&1 || fail "$(tail -n 1 whole.txt)"
      whole=$(milliseconds "$begin")
      begin=$(now)
      i=1
      while [ $i -le "$gpus" ]; do
        CUDA_VISIBLE_DEVICES=$((i - 1)) "$programs/skipv1-experiment" $list --out part.json --shard $i/"$gpus" > part-$i.txt 2>&1 &
        i=$((i + 1))
      done
      wait
      parts=$(milliseconds "$begin")
      echo "\$ skipv1-experiment $list --out part.json --shard I/$gpus     # CUDA_VISIBLE_DEVICES=I-1"
      echo "\$ skipv1-experiment ${list%% *} --out joined.json --merge part-*-of-$gpus.json"
      "$programs/skipv1-experiment" $list --out joined.json --merge part-*-of-"$gpus".json > joined.txt 2>&1 || fail "$(tail -n 1 joined.txt)"
      tail -n 1 joined.txt
      for results in whole joined; do grep -E '"(label|seed|final_nats_per_token|right)":' $results.json | sort > $results.losses; done
      cmp whole.losses joined.losses && same="the same results" || same="other results: $(diff whole.losses joined.losses | grep -c '^<') of $(wc -l < whole.losses) lines"
      echo "$(grep -c '"label":' whole.json) runs on one GPU in $whole ms; in $gpus parts on $gpus GPUs in $parts ms; $same" ;;
    *) fail "$part: no such part" ;;
  esac
done
exit $failed
