#!/bin/sh
# Runs migrate.sql. What is stopped half-way (by a cancel or the timeout) is taken back before the grace period is over.
set -eu
# By this name its session is found at the server. psql reads PGHOST, PGUSER, PGPASSWORD and the like by itself.
export PGAPPNAME="$CLOUD_RUN_EXECUTION"
psql="psql -qX -v ON_ERROR_STOP=1 -v execution=$CLOUD_RUN_EXECUTION"

note() {
  echo "INSERT INTO migration_log (execution, what) VALUES (:'execution', '$1')" | $psql
}

stop() {
  trap '' TERM
  echo 'stopping: what is half done is taken back'
  if [ -n "${!:-}" ]; then
    kill "$!" || true
    wait "$!" 2> /dev/null || true
  fi
  # A server at work does not see that its client has gone: it would go on, and hold its locks.
  echo "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity
    WHERE application_name = :'execution' AND pid <> pg_backend_pid()" | $psql -o /dev/null
  note 'rolled back'
  echo 'rolled back: nothing is changed, nothing is locked'
  exit 143
}

trap stop TERM
note started
# In the background: a shell hears a signal only while it waits.
$psql -f /bin/migrate.sql &
wait "$!"
