// Executions that ended long ago, written into a database and a folder of logs that a gateway has made: what retention
// removes. All that they are called by begins with their prefix, in whatever table it stands.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';

/** Epoch ms: past any retention, and past none. */
const LONG_AGO = 2;
const TOMORROW = Date.now() + 86_400_000;

/**
 * `count` of them in the data folder `data`, whose gateway is down. `shapeOf(i)`: how many tasks the i-th has, how many
 * attempts each, and the number of the event that caused it, if one did; without it one task, one attempt, no event.
 * `young`: they have ended, but are to be kept.
 */
export function addOldExecutions(data, count, { prefix = 'old-', shapeOf = () => ({}), young = false } = {}) {
  const db = new Database(join(data, 'tappet.db'));
  const add = adding(db, prefix, young ? TOMORROW : LONG_AGO);
  db.transaction(() => {
    for (let i = 0; i < count; i++) {
      const { tasks = 1, attempts = 1, event } = shapeOf(i);
      const name = `${prefix}${i}`;
      add.execution({ name, tasks, attempts, event });
      for (let index = 0; index < tasks; index++)
        for (let attempt = 0; attempt < attempts; attempt++) {
          const folder = join(data, 'logs', name, `${index}-${attempt}`);
          mkdirSync(folder, { recursive: true });
          writeFileSync(join(folder, '00000000000000000000.log'), 'a line\n');
        }
    }
  })();
  db.close();
}

function adding(db, prefix, expires) {
  const execution = db.prepare(
    "INSERT INTO executions (uid, name, job, job_generation, cause_kind, event_uid, trigger_name, principal, task_count, parallelism, state, claimable, create_time, update_time, completion_time, expire_time, next_index, to_run, succeeded) VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, 1, 'SUCCEEDED', 0, 1, 1, 1, ?, ?, ?, ?)",
  );
  const spec = db.prepare("INSERT INTO execution_specs VALUES (?, '{}', '{}', '{}')");
  const task = db.prepare(
    "INSERT INTO tasks (execution, idx, state, attempts, retries, infra_failures, start_time, completion_time) VALUES (?, ?, 'SUCCEEDED', ?, 0, 0, 1, 1)",
  );
  const attempt = db.prepare(
    "INSERT INTO attempts (execution, idx, attempt, state, container_name, engine, owner, epoch, create_time, start_time, end_time, exit_code) VALUES (?, ?, ?, 'SUCCEEDED', ?, 'engine', 'owner', 1, 1, 1, 1, 0)",
  );
  const caused = causing(db, prefix, expires);
  return {
    execution: ({ name, tasks, attempts, event }) => {
      const cause = event === undefined ? ['api', null, null, 'bench'] : caused(event, name);
      const job = `${prefix}job`;
      const values = [`${name}-uid`, name, job, ...cause, tasks, expires, tasks, tasks, tasks];
      const seq = execution.run(...values).lastInsertRowid;
      spec.run(seq);
      for (let index = 0; index < tasks; index++) {
        task.run(seq, index, attempts);
        for (let n = 0; n < attempts; n++) attempt.run(seq, index, n, `${name}-t${index}-a${n}`);
      }
    },
  };
}

/** Gives the cause of one more execution by the event, whose identity is to be forgotten with its executions. */
function causing(db, prefix, expires) {
  const event = db.prepare(
    'INSERT INTO events (uid, origin, type, receive_time, decide_time, envelope) VALUES (?, ?, ?, 1, 1, ?) ON CONFLICT (uid) DO NOTHING',
  );
  const key = db.prepare(
    'INSERT INTO event_keys (origin, source, id, event_uid, expires_at) VALUES (?, ?, ?, ?, ?)',
  );
  const hold = db.prepare('UPDATE events SET holds = holds + 1 WHERE uid = ? RETURNING seq, holds');
  const decision = db.prepare(
    "INSERT INTO decisions (event_seq, trigger_name, outcome, reason, execution, decide_time) VALUES (?, ?, 'matched', 'it matched', ?, 1)",
  );
  return (number, name) => {
    const uid = `${prefix}event-${number}`;
    const [origin, source, type] = [`${prefix}origin`, `${prefix}source`, `${prefix}type`];
    if (
      event.run(uid, origin, type, JSON.stringify({ specversion: '1.0', id: uid, source, type })).changes > 0
    )
      key.run(origin, source, uid, uid, expires);
    const { seq, holds } = hold.get(uid);
    const trigger = `${prefix}trigger-${holds}`;
    decision.run(seq, trigger, name);
    return ['event', uid, trigger, null];
  };
}
