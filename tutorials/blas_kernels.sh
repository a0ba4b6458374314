# Chooses OpenBLAS's kernels for the rest of a script: . blas_kernels.sh, where $program is a program that uses it and $script who asks.
# OpenBLAS falls back to its oldest kernels, several times slower, on a processor newer than itself.
if [ -z "${OPENBLAS_CORETYPE:-}" ] && OPENBLAS_VERBOSE=2 "$program" --help 2>&1 | grep -q 'Core: Prescott'; then
  for pair in avx512f:SkylakeX avx2:Haswell; do
    if grep -qw "${pair%:*}" /proc/cpuinfo; then
      export OPENBLAS_CORETYPE="${pair#*:}"
      echo "$script: OpenBLAS does not know this processor; using its kernels for $OPENBLAS_CORETYPE" >&2
      break
    fi
  done
fi
