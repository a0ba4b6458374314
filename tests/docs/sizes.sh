#!/bin/sh
# Usage: sizes.sh TREE. No source has more than 400 lines, no function more than 60 but those named below, and no six lines stand
# twice in skipv1/ (docs/design.md, "Size and style").
set -eu
cd "$1"
# Functions that are longer, and why.
longer="skipv1/ops/attention/sm80_forward.cuh:attention_forward_mma     a kernel's fragments live in registers, which no call passes on
skipv1/ops/attention/sm80_backward.cuh:attention_backward_query_mma     likewise
skipv1/ops/attention/sm90_backward.cuh:consume     likewise
tutorials/11-attention-step-by-step/tensor_cores.cuh:hopper     likewise
skipv1/routing/variants.hpp:variants     one table
tests/benchmark/gpu.cpp:main     the list of what is timed"
sources() { find "$@" -type f ! -path '*/build/*' ! -path '*/__pycache__/*'; }
roots=
for root in skipv1 tutorials tests docs; do [ ! -d $root ] || roots="$roots $root"; done

# shellcheck disable=SC2086  # a word each
found=$(
  sources $roots | grep -E '\.(hpp|cuh|cpp|py|js|sh|cmake)$' | sort | xargs awk '
    FNR == 1 && NR > 1 && lines > 400 { print file ": " lines " lines, at most 400 are allowed" }
    { file = FILENAME; lines = FNR }
    END { if (lines > 400) print file ": " lines " lines, at most 400 are allowed" }'
  # As clang-format leaves it, a function ends with a brace below its first letter.
  sources $roots | grep -E '\.(hpp|cuh|cpp)$' | sort | xargs awk -v longer="$longer" '
    BEGIN {
      count = split(longer, line, "\n")
      for (i = 1; i <= count; ++i) { split(line[i], word, " "); allowed[word[1]] = 1 }
    }
    FNR == 1 { split("", first); split("", text) }
    /^ *$/ { next }
    { match($0, /^ */); indent = RLENGTH; rest = substr($0, indent + 1) }
    rest ~ /^}/ {
      begin = text[indent]
      other = begin ~ /^(namespace|class|struct|enum|union|extern|if|for|while|switch|do|else|try|case|default|static)[^A-Za-z_]/
      if (!other && begin ~ /\(/ && FNR - first[indent] >= 60) {
        name = begin ~ /^SKIPV1_KERNEL/ ? kernel : begin
        sub(/\(.*/, "", name)
        sub(/.* /, "", name)
        if (!((FILENAME ":" name) in allowed)) print FILENAME ":" first[indent] ": " name " has " FNR - first[indent] + 1 " lines, at most 60 are allowed"
      }
      next
    }
    rest ~ /^(#|\/\/|: |public:|private:|protected:)/ { next }
    { first[indent] = FNR; text[indent] = rest }
    attributes { kernel = rest; attributes = 0 }
    rest ~ /^SKIPV1_KERNEL/ {  # its name may stand on the next line
      kernel = rest
      sub(/^SKIPV1_KERNEL (SKIPV1_BOUNDS\([^)]*\) )?/, "", kernel)
      attributes = rest ~ /SKIPV1_BOUNDS\([^)]*\)$/
    }'
  [ ! -d skipv1 ] || sources skipv1 | grep -E '\.(hpp|cuh|cpp)$' | sort | xargs awk '
    FNR == 1 { kept = 0 }
    {
      gsub(/^[ \t]+|[ \t]*\/\/.*|[ \t]+$/, "")
      if ($0 ~ /^[{}();,]*$/ || $0 ~ /^#/) next
      line[++kept] = $0
      at[kept] = FNR
      if (kept < 6) next
      block = line[kept - 5]
      for (i = kept - 4; i <= kept; ++i) block = block "\n" line[i]
      if (block in seen) {
        if (FILENAME != told || at[kept - 5] > until) print FILENAME ":" at[kept - 5] ": the six lines from here on stand in " seen[block] ", too"
        told = FILENAME
        until = at[kept]
      } else seen[block] = FILENAME ":" at[kept - 5]
    }'
)
[ -z "$found" ] || { printf '%s\n' "$found" >&2; exit 1; }
