#!/bin/sh
# tests/benchmark/stalls.py on a kernel of three instructions: a load that counts on scoreboard 5, one that waits for it, one that waits
# for nothing.
set -eu
script=$(dirname "$0")/benchmark/stalls.py
command -v python3 > /dev/null || { echo "no python3"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/source.csv" << 'END'
"Kernel Name","under_test"
"Address","Source","# Samples","Instructions Executed","stall_long_sb","stall_wait","stall_wait (Not Issued)"
"0","      LDG.E R4, desc[UR4][R2.64]","10","1,000","0","10","9"
"16","      FADD R5, R4, R4","80","1,000","75","5","5"
"32","      EXIT","10","1,000","0","10","10"
END
cat > "$folder/kernel.sass" << 'END'
	//## File "/a/b/load.cuh", line 7
        /*0000*/                   LDG.E R4, desc[UR4][R2.64] ;            /* 0x0000000402047981 */
                                                                           /* 0x000f4e000c1e1900 */
	//## File "/a/b/add.cuh", line 9
        /*0010*/                   FADD R5, R4, R4 ;                       /* 0x0000000404057221 */
                                                                           /* 0x020fce0000000000 */
        /*0020*/                   EXIT ;                                  /* 0x000000000000794d */
                                                                           /* 0x000fea0003800000 */
END
fail() { echo "$*"; exit 1; }
out=$(python3 "$script" "$folder/source.csv" --sass "$folder/kernel.sass" | tr -s ' ')
expect() { printf '%s\n' "$out" | grep -qxF "$1" || fail "no line \"$1\" in:
$out"; }
expect "3 instructions, 100 samples"
expect " 75.0% long_sb"
expect " 80.0% 1000 5 - FADD R5, R4, R4 long_sb add.cuh:9"
expect " 10.0% 1000 - 5 LDG.E R4, desc[UR4][R2.64] wait load.cuh:7"
expect " 90.0% add.cuh:9"
refused() {
  expected=$1
  shift
  status=0
  message=$(python3 "$script" "$@" 2>&1 > /dev/null) || status=$?
  [ "$status" = 2 ] || fail "$*: status $status"
  case $message in *"$expected"*) ;; *) fail "$*: $message" ;; esac
}
sed '$d' "$folder/source.csv" > "$folder/short.csv"
refused "kernel.sass has 3 instructions, $folder/short.csv has 2: not the same kernel" "$folder/short.csv" --sass "$folder/kernel.sass"
refused "no columns Source and # Samples" "$folder/kernel.sass"
refused "no instructions with their bits" "$folder/source.csv" --sass "$folder/source.csv"
refused "nowhere" "$folder/nowhere.csv"
