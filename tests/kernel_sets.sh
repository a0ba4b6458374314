#!/bin/sh
# Usage: kernel_sets.sh SET PROGRAM [ARGUMENTS]. Runs a test program with one of OpenBLAS's kernel sets: Prescott, Haswell or SkylakeX.
# Exits with 77, for CTest a skipped test, where the processor lacks it, the program's BLAS is not OpenBLAS, or it chooses this set by
# itself, so that every other test has run with it.
set -eu
set_name=$1 program=$2
shift 2
skip() {
  echo "skipped: $*"
  exit 77
}
case $set_name in
  Prescott) needs=pni ;;  # SSE3
  Haswell) needs="avx2 fma" ;;
  SkylakeX) needs="avx512f avx512cd avx512bw avx512dq avx512vl" ;;
  *) echo "kernel_sets.sh: no set \"$set_name\"" >&2; exit 2 ;;
esac
[ -r /proc/cpuinfo ] || skip "no /proc/cpuinfo says what the processor has"
flags=" $(sed -n '/^flags/{s/.*: //p;q;}' /proc/cpuinfo) "
for flag in $needs; do
  case $flags in *" $flag "*) ;; *) skip "the processor has no $flag" ;; esac
done
# used: OpenBLAS names the set that it uses when it is loaded.
used() { OPENBLAS_VERBOSE=2 "$program" --list-tags 2>&1 | sed -n 's/^Core: //p'; }
[ "$(used)" != "$set_name" ] || skip "$set_name is the set that all tests run with here"
export OPENBLAS_CORETYPE="$set_name"
used=$(used)
[ -n "$used" ] || skip "the BLAS is not an OpenBLAS with several kernel sets"
case $used in
  "$set_name") ;;
  *) echo "OPENBLAS_CORETYPE=$set_name gives the kernels of $used" >&2; exit 1 ;;
esac
exec "$program" "$@"
