#!/bin/sh
# The title lines of the books in a text of books: `books.sh TEXT`. Books of Project Gutenberg begin with a title and, some lines below, a line that begins with
# "by"; books lie behind two blank lines. A few books have several such pages, a few have none, so the list is a help to assemble the like, not an inventory.
awk '
function finish() { if (author != "" && title != "") print title " -- " author; title = author = ""; lines = 0 }
/^[ \t\r]*$/ { blank++; next }
{
  if (blank >= 2 || NR == 1) { if (title == "" || lines > 12 || author != "") finish() }
  line = $0
  gsub(/^[ \t*_]+|[ \t\r*_]+$/, "", line)
  if (line ~ /^(Produced|Transcribed|E-text|Etext|HTML|Note|See |Copyright|Copyrighted|THE END|\[Picture)/ || line ~ /@|http/) { blank = 0; next }
  lines++
  if (lines <= 12 && author == "") {
    if (tolower(line) ~ /^by:?$/) wanted = 1
    else if (wanted && line ~ /^[A-Z]/) { author = line; wanted = 0 }
    else if (line ~ /^(by|By|BY) [A-Z]/ && length(line) < 45) author = substr(line, 4)
    else if (lines <= 5) title = (title == "" ? line : title " / " line)
  }
  blank = 0
}
END { finish() }' "${1:?usage: books.sh TEXT}"
