#!/bin/sh
# The playground: run.sh build|node|browser|firefox PAGE TUTORIALS PROGRAMS WORK. Ends with 77, and a word, where what it needs is not here.
set -eu
part=$1 page=$2 tutorials=$3 programs=$4 work=$5
root=$(cd "$(dirname "$0")/../.." && pwd)
skip() {
  echo "skipped: $1"
  exit 77
}
command -v emcc > /dev/null || skip "no emcc (Debian: emscripten)"
command -v node > /dev/null || skip "no node (Debian: nodejs)"
mkdir -p "$work"
case $part in
  build)
    sh "$root/tutorials/playground.sh" "$page"
    for file in index.html skipv1_library.js skipv1_emulator.js; do
      [ -s "$page/$file" ] || { echo "no $file" >&2; exit 1; }
    done
    ;;
  node) node "$root/tests/playground/node.js" "$page" "$tutorials" "$programs" "$root" "$work" ;;
  browser)
    chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || skip "no chromium"
    node "$root/tests/playground/browser.js" "$page" "$tutorials" "$root" "$work" "$chromium"
    ;;
  firefox)
    firefox=$(command -v firefox-esr || command -v firefox) || skip "no firefox"
    node "$root/tests/playground/browser.js" "$page" "$tutorials" "$root" "$work" "$firefox"
    ;;
esac
