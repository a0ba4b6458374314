# What a test of the programs begins with; it is sourced, with that test's arguments PROGRAMS WORK TEXT …. The test runs in the folder
# WORK, which is emptied first.
programs=$1 work=$2 text=$3 root=$(cd "$(dirname "$0")/../.." && pwd)
rm -rf "$work"
mkdir -p "$work"
cd "$work"
fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}
# run PROGRAM ARGUMENTS...: status 0.
run() {
  program=$1
  shift
  "$programs/skipv1-$program" "$@" > out 2> err || fail "skipv1-$program $* says: $(cat err)"
}
# number FILE KEY: what a JSON file of one value a line has there.
number() { sed -n "s/^ *\"$2\": \([^,]*\),*$/\1/p" "$1"; }
# documented FILE: docs/spec/formats.md names every key of a JSON file, but for those that are words of a sentence.
documented() {
  for key in $(sed -n 's/^ *"\([a-z_]*\)":.*/\1/p' "$1" | sort -u); do
    grep -q "\`$key\`" "$root/docs/spec/formats.md" || fail "docs/spec/formats.md does not name \"$key\", a key of $1"
  done
}
