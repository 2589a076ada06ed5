#!/bin/sh
# This task's share of /in/orders.csv (id,customer,cents) → the table orders: of as many lines as there are tasks, the
# one of its own index. A line that is no order ends it with 65, which no retry mends.
set -eu
i=$CLOUD_RUN_TASK_INDEX
n=$CLOUD_RUN_TASK_COUNT

awk -F, -v i="$i" -v n="$n" '
  { sub(/\r$/, "") }
  NR == 1 || (NR - 2) % n != i { next }
  NF != 3 || $1 !~ /^[0-9]+$/ || $3 !~ /^[0-9]+$/ {
    print "orders.csv, line " NR ": not id,customer,cents: " $0 > "/dev/stderr"
    bad = 1
    exit
  }
  { print }
  END { if (bad) exit 65 }
' /in/orders.csv > /tmp/share.csv

# The name shows in pg_stat_activity. psql reads PGHOST, PGUSER, PGPASSWORD and the like by itself.
PGAPPNAME="$CLOUD_RUN_EXECUTION/$i" psql -qX -v ON_ERROR_STOP=1 -v execution="$CLOUD_RUN_EXECUTION" -f /bin/load.sql
echo "$(wc -l < /tmp/share.csv) orders are in the table"
