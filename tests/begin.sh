# What a test of the programs begins with; it is sourced, with that test's arguments PROGRAMS WORK TEXT …. The test runs in the folder
# WORK, which is emptied first.
programs=$1 work=$2 text=$3
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
