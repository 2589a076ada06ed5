#!/bin/sh
# /in/table.csv with a header → /out/rows.jsonl, an object a row, as databases and search engines take them.
set -eu
mkdir -p /out

awk '
  function json(text) {
    gsub(/\\/, "\\\\", text)
    gsub(/"/, "\\\"", text)
    gsub(/\t/, "\\t", text)
    return "\"" text "\""
  }
  # Fields may stand in quotes, and a quote in them is written twice. Returns how many there are.
  function split_csv(line, fields,    n, i, c, quoted, field) {
    for (i = 1; i <= length(line); i++) {
      c = substr(line, i, 1)
      if (quoted && c == "\"" && substr(line, i + 1, 1) == "\"") { field = field c; i++ }
      else if (c == "\"") quoted = !quoted
      else if (c == "," && !quoted) { fields[++n] = field; field = "" }
      else field = field c
    }
    fields[++n] = field
    return n
  }
  { sub(/\r$/, "") }
  NR == 1 { columns = split_csv($0, names); next }
  $0 == "" { next }
  {
    count = split_csv($0, values)
    if (count != columns) {
      print "line " NR " has " count " fields, the header has " columns > "/dev/stderr"
      exit 1
    }
    row = ""
    for (i = 1; i <= columns; i++) row = row (i > 1 ? "," : "") json(names[i]) ":" json(values[i])
    print "{" row "}"
  }
' /in/table.csv > /out/rows.jsonl

echo "$(wc -l < /out/rows.jsonl) rows of $FILE imported"
