#!/bin/sh
# /in/orders.csv (order,product,quantity,price) → totals per product, as /out/report.csv and /out/report.pdf.
set -eu
mkdir -p /out

awk -F, '
  { sub(/\r$/, "") }
  NR == 1 || $0 == "" { next }
  NF != 4 || $3 !~ /^[0-9]+$/ || $4 !~ /^[0-9]+(\.[0-9][0-9]?)?$/ {
    print "orders.csv, line " NR ": not order,product,quantity,price: " $0 > "/dev/stderr"
    bad = 1
    exit
  }
  # In cents: whole numbers add up exactly.
  { quantity[$2] += $3; cents[$2] += $3 * int($4 * 100 + 0.5) }
  END {
    if (bad) exit 1
    for (product in cents) printf "%s,%d,%.2f\n", product, quantity[product], cents[product] / 100
  }
' /in/orders.csv > /tmp/totals
sort /tmp/totals > /tmp/sorted

awk -F, '
  BEGIN { print "product,quantity,total" }
  { print; quantity += $2; total += $3 }
  END { printf "TOTAL,%d,%.2f\n", quantity, total }
' /tmp/sorted > /out/report.csv

{
  echo "Sales report"
  echo "for the night of ${SLOT:-an unknown day}"
  echo
  awk -F, '{ printf "%-32s %12s %14s\n", $1, $2, $3 }' /out/report.csv
} | awk -f /bin/pdf.awk > /out/report.pdf

tail -n 1 /out/report.csv
