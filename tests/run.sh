#!/bin/sh
# Builds everything and runs every test: plain, then under clang's sanitizers, then the fuzzers for a few seconds each. What takes
# minutes in full is in full with --whole; docs/CONTRIBUTING.md says what that is.
set -eu
cd "$(dirname "$0")/.."
sh tests/setup.sh --tests
whole=OFF sanitized=skipv1-tests tools=
if [ "${1:-}" = --whole ]; then
  whole=ON sanitized="skipv1-tests skipv1-flavours-tests" tools=" skipv1_tools"
fi

configure() { cmake --preset "$1" -DSKIPV1_WHOLE_TESTS=$whole > /dev/null; }
# run PRESET TARGETS [options of ctest], of a preset that is configured
run() {
  preset=$1 targets=$2
  shift 2
  echo "== $preset"
  cmake --build --preset "$preset" --target $targets  # (a word each)
  ctest --preset "$preset" --parallel $(($(nproc) + 1)) "$@"  # one more than cores: some wait for processes, browsers, locks
}
configure default
jobs=
if command -v clang++ > /dev/null; then  # configuring keeps one core busy: beside what follows
  for preset in clang sanitize fuzz; do
    configure $preset &
    jobs="$jobs $!"
  done
  trap 'kill $jobs 2> /dev/null || :' EXIT  # where the default build fails
fi
run default "all$tools"
if command -v clang++ > /dev/null; then
  for job in $jobs; do wait "$job"; done
  jobs=
  echo "== clang: every header by itself"
  cmake --build --preset clang --target skipv1_headers_alone
  run sanitize "$sanitized" --label-regex unit
  run fuzz all
fi
PATH=$PATH:/usr/local/cuda/bin
if command -v nvcc > /dev/null; then
  echo "== cuda: the device half for compute capability 8.0 and 9.0"
  configure cuda
  cmake --build --preset cuda --target skipv1_cuda_compiles
else
  echo "no nvcc: the device half is not compiled for the card"
fi
