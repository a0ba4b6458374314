#!/bin/sh
# Builds everything and runs every test: plain, then under clang's sanitizers, then the fuzzers for a few seconds each.
set -eu
cd "$(dirname "$0")/.."
sh tests/setup.sh --tests
jobs=$(nproc)

# In CI a warning is an error; elsewhere a newer compiler may have some of its own.
run() {
  echo "== $1" >&2
  cmake --preset "$1" ${CI:+-DCMAKE_COMPILE_WARNING_AS_ERROR=ON} > /dev/null
  cmake --build --preset "$1"
  shift
  ctest --parallel "$jobs" "$@"
}
run default --preset default
if command -v clang++ > /dev/null; then
  run sanitize --preset sanitize --label-regex unit
  run fuzz --preset fuzz
fi
