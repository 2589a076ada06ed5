// The floor's durable part: the same five rows a call as the gateway keeps (event, identity, decision, execution,
// its spec), in tables of the same shape, committed in groups once per turn of the event loop, WAL and FULL.
import { randomBytes, randomUUID } from 'node:crypto';
import Database from 'better-sqlite3';

/** Opens `path` with the tables and indices that the database at `like` has. */
export function openRows(path, like) {
  const model = new Database(like, { readonly: true });
  const schema = model
    .prepare(
      "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY type DESC",
    )
    .all();
  model.close();
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  for (const { sql } of schema) db.exec(sql);
  return committer(db);
}

const SPEC = JSON.stringify({
  image: 'none:1',
  env: {},
  cpu: 1,
  memoryBytes: 536870912,
  taskCount: 1,
  parallelism: 1,
  maxRetries: 3,
  timeoutMs: 600000,
  gracePeriodMs: 30000,
  retentionMs: 2592000000,
  binds: [],
});

function committer(db) {
  const insert = {
    event: db.prepare(
      'INSERT INTO events (uid, origin, trigger_name, type, receive_time, decide_time, holds, claims, envelope) VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)',
    ),
    key: db.prepare('INSERT INTO event_keys VALUES (?, ?, ?, ?, ?)'),
    decision: db.prepare(
      'INSERT INTO decisions (event_seq, trigger_name, outcome, reason, execution, decide_time) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    execution: db.prepare(
      "INSERT INTO executions (uid, name, job, job_generation, cause_kind, event_uid, trigger_name, task_count, parallelism, state, claimable, create_time, update_time) VALUES (?, ?, 'none', 1, 'event', ?, 'in', 1, 1, 'PENDING', 1, ?, ?)",
    ),
    spec: db.prepare('INSERT INTO execution_specs VALUES (?, ?, ?, ?)'),
  };
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  let waiting = [];
  const one = ({ data, claims }) => {
    const now = Date.now();
    const uid = randomUUID();
    const id = randomUUID();
    const name = `none-${randomBytes(5).toString('hex')}`;
    const envelope = {
      specversion: '1.0',
      id,
      source: '/hooks/in',
      type: 'dev.tappet.webhook.v1.received',
      time: new Date(now).toISOString(),
      datacontenttype: 'application/json',
      data,
    };
    const { lastInsertRowid } = insert.event.run(
      uid,
      'trigger/in',
      'in',
      envelope.type,
      now,
      now,
      claims ? JSON.stringify(claims) : null,
      JSON.stringify(envelope),
    );
    insert.key.run('trigger/in', '/hooks/in', id, uid, now + 2_592_000_000);
    insert.decision.run(lastInsertRowid, 'in', 'matched', 'when is true', name, now);
    const execution = insert.execution.run(randomUUID(), name, uid, now, now);
    insert.spec.run(execution.lastInsertRowid, SPEC, '{}', '{}');
    const decision = { trigger: 'in', outcome: 'matched', reason: 'when is true', execution: name };
    return JSON.stringify({ event: uid, duplicate: false, decisions: [decision], executions: [name] });
  };
  const flush = () => {
    const batch = waiting;
    waiting = [];
    begin.run();
    const answers = batch.map(({ call }) => one(call));
    commit.run();
    batch.forEach(({ resolve }, i) => resolve(answers[i]));
  };
  return (call) =>
    new Promise((resolve) => {
      if (waiting.length === 0) setImmediate(flush);
      waiting.push({ call, resolve });
    });
}
