#!/bin/sh
# Builds everything and runs every test: plain, then under clang's sanitizers, then the fuzzers for a few seconds each.
set -eu
cd "$(dirname "$0")/.."
sh tests/setup.sh --tests

# run PRESET TARGET [options of ctest]. In CI a warning of g++ is an error; elsewhere a newer compiler may have some of its own.
run() {
  preset=$1 target=$2
  shift 2
  echo "== $preset"
  [ "$preset" = default ] && warnings=${CI:+ON} || warnings=
  cmake --preset "$preset" ${warnings:+-DCMAKE_COMPILE_WARNING_AS_ERROR=ON} > /dev/null
  cmake --build --preset "$preset" --target "$target"
  ctest --preset "$preset" --parallel "$(nproc)" "$@"
}
run default all
if command -v clang++ > /dev/null; then
  run sanitize skipv1-tests --label-regex unit
  run fuzz all
fi
