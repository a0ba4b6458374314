#!/bin/sh
# Builds the playground: the library in WebAssembly, and its page, which works from a file:// address.
# Usage: sh tutorials/playground.sh [TO]     TO is the folder; left out: build/playground
# It needs Emscripten (Debian: emscripten) and the headers of nlohmann-json. SKIPV1_OPTIMIZE=-O1 builds in half the time, for tests.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
to=${1:-$root/build/playground}
from=$root/tutorials/12-in-the-browser
if ! command -v emcc > /dev/null; then
  echo "playground.sh: no emcc: install emscripten" >&2
  exit 2
fi
mkdir -p "$to"
export NODE_PATH="${NODE_PATH:-/usr/share/nodejs}" # where Debian keeps what emcc asks Node for
headers=${SKIPV1_HEADERS:-/usr/include}            # of nlohmann-json; behind Emscripten's own
# compile SOURCE NAME [flags]
compile() {
  source=$1 name=$2
  shift 2
  emcc -std=c++20 "${SKIPV1_OPTIMIZE:--O2}" -include "$from/libcxx.hpp" -I"$root" -idirafter "$headers" -DSKIPV1_PLAIN_BLAS "$from/$source" -o "$to/$name.part.js" \
    -sSINGLE_FILE=1 -sMODULARIZE=1 -sEXPORT_NAME="$name" -sALLOW_MEMORY_GROWTH=1 -sTOTAL_STACK=5242880 -sENVIRONMENT=web,worker,node \
    -sEXPORTED_RUNTIME_METHODS=ccall "$@" || return 2
  mv "$to/$name.part.js" "$to/$name.js"
}
compile browser.cpp skipv1_library -msimd128 -fwasm-exceptions --embed-file "$root/data/king-james@/model"
compile emulated.cpp skipv1_emulator -fexceptions -sASYNCIFY
cp "$from"/page/* "$to"
# The kernels' source, which the page shows beside their threads, as a string of JavaScript.
{
  echo "const kernelSource = String.raw\`"
  sed 's/`/\&#96;/g' "$from/kernels.cuh"
  echo "\`.slice(1);"
} > "$to/kernels.js"
echo "$to/index.html"
