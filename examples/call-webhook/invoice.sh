#!/bin/sh
# What the call said stands in the environment; what is made of it, in /out.
set -eu
mkdir -p /out
printf 'Invoice %s\nto %s\n%s EUR, ordered by %s\n' "$NUMBER" "$CUSTOMER" "$AMOUNT" "$ORDERED_BY" > /out/invoice.txt
cat /out/invoice.txt
