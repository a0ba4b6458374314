#!/bin/sh
# Builds the main job, 07-train-on-text, and runs it with the options given: sh tutorials/run.sh --help
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
name=07-train-on-text
program=$root/build/tutorials/tutorials/$name
case " $* " in
  *" --help "* | *" -h "*)
    [ -x "$program" ] && exec "$program" --help
    sed -n '2s/^# //p' "$0"
    echo "Nothing is built yet; then this prints the options, which tutorials/07-train-on-text/README.md describes: --text FILE, --steps N, --out FOLDER ..."
    exit 0
    ;;
esac
sh "$root/tests/setup.sh"
(cd "$root" && cmake --preset tutorials > /dev/null && cmake --build --preset tutorials --target $name >&2)

script=run.sh
. "$root/tutorials/blas_kernels.sh"

# The text, unless one is given: the Bible in King James's English, a verse a line, from Debian's package.
case " $* " in
  *" --text"*) ;;
  *)
    if ! command -v bible > /dev/null; then
      echo "run.sh: no text: install bible-kjv, or give one by --text FILE" >&2
      exit 2
    fi
    text=$root/build/tutorials/kjv.txt
    bible -f gen1:1-rev22:21 < /dev/null | sed 's/^[^ ]* //' > "$text"
    set -- --text "$text" "$@"
    ;;
esac
exec "$program" "$@"
