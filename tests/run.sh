#!/bin/sh
# Builds everything and runs every test: plain, then under clang's sanitizers, then the fuzzers for a few seconds each.
set -eu
cd "$(dirname "$0")/.."
sh tests/setup.sh --tests

# run PRESET TARGET [options of ctest]
run() {
  preset=$1 target=$2
  shift 2
  echo "== $preset"
  cmake --preset "$preset" > /dev/null
  cmake --build --preset "$preset" --target "$target"
  ctest --preset "$preset" --parallel "$(nproc)" "$@"
}
run default all
if command -v clang++ > /dev/null; then
  run sanitize skipv1-tests --label-regex unit
  run fuzz all
fi
