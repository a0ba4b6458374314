#!/bin/sh
# What computes is compiled with optimisation, in skipv1/instances; the programs are not, and emit no copy of it: an SVD of theirs
# took 20 times as long. sh optimised.sh TREE OBJECT ...: unoptimised objects or libraries of them.
set -eu
tree=$1
shift
command -v nm > /dev/null || { echo "skipped: no nm"; exit 77; }
# The functions that the headers of operations define: a line that begins with a type, and is no declaration.
names=$(sed -nE '/;$/d; s/^([a-z_]+ )*[A-Za-z_:<>,]+[ &*]+([a-z_0-9]+)\(.*/\2/p' "$tree"/skipv1/ops/*.hpp "$tree"/skipv1/ops/attention/*.hpp \
  "$tree"/skipv1/core/simd.hpp "$tree"/skipv1/core/blas.hpp "$tree"/skipv1/core/plain_blas.hpp "$tree"/skipv1/core/linear_algebra.hpp | sort -u)
for name in gemm singular_values sum_of rms_norm_forward; do
  echo "$names" | grep -qx "$name" || { echo "$name is not among the functions found in the headers"; exit 1; }
done
pattern="skipv1::(detail::)?($(echo "$names" | paste -sd '|' -)|LayerConversion<[a-z]*>::[a-z_]+)[<(]"
found=$(nm -C --defined-only "$@" 2> /dev/null | grep -E "^[0-9a-f]+ [TtWw] " | grep -oE " [TtWw] ([a-z]+ |[^(]*> )?$pattern" | sort -u || true)
if [ -n "$found" ]; then
  echo "computed without optimisation, and by all that links this; see skipv1/instances:"
  echo "$found"
  exit 1
fi
