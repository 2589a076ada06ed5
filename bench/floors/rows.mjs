// The floor's durable part: the same five rows a call as the gateway keeps (event, identity, decision, execution,
// its spec), in tables of the same shape, committed in groups once per turn of the event loop, WAL and FULL.
import { randomBytes, randomUUID } from 'node:crypto';
import Database from 'better-sqlite3';

/**
 * Opens `path` with the tables and indices that the database at `like` has. Returns the call that commits those rows and
 * resolves to the answer's text.
 */
export function openRows(path, like) {
  const { group, accept } = open(path, like);
  return (call) => group(() => accept(call).text);
}

/**
 * The same, and what an orchestrator writes of each: a commit for the call, one when its task starts, one when it has
 * ended (each shared with what else comes in a turn). Resolves after the first; `done()` tells how many are through.
 */
export function openOrchestration(path, like) {
  const { group, accept, claim, finish } = open(path, like);
  let done = 0;
  const run = async (execution) => {
    await group(() => claim(execution));
    await group(() => finish(execution));
    done += 1;
  };
  const call = async (body) => {
    const { text, execution } = await group(() => accept(body));
    void run(execution);
    return text;
  };
  return { call, done: () => done };
}

function open(path, like) {
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
  return { group: grouped(db), ...rowsOf(db) };
}

/** Runs what comes in a turn of the event loop in one transaction; resolves to what it returned once that is durable. */
function grouped(db) {
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  let waiting = [];
  const flush = () => {
    const batch = waiting;
    waiting = [];
    begin.run();
    const results = batch.map(({ work }) => work());
    commit.run();
    batch.forEach(({ resolve }, i) => resolve(results[i]));
  };
  return (work) =>
    new Promise((resolve) => {
      if (waiting.length === 0) setImmediate(flush);
      waiting.push({ work, resolve });
    });
}

/** As the gateway's: names of 32 ms begin alike, so that they stand side by side in the index. */
const moment = (now) => (Math.floor(now / 32) % 32_768).toString(32).padStart(3, '0');

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

function rowsOf(db) {
  const insert = {
    event: db.prepare(
      'INSERT INTO events (uid, origin, trigger_name, type, receive_time, decide_time, holds, claims, envelope) VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)',
    ),
    key: db.prepare(
      'INSERT INTO event_keys (origin, source, id, event_uid, expires_at) VALUES (?, ?, ?, ?, ?)',
    ),
    decision: db.prepare(
      'INSERT INTO decisions (event_seq, trigger_name, outcome, reason, execution, decide_time) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    execution: db.prepare(
      "INSERT INTO executions (uid, name, job, job_generation, cause_kind, event_uid, trigger_name, task_count, parallelism, state, claimable, create_time, update_time) VALUES (?, ?, 'none', 1, 'event', ?, 'in', 1, 1, 'PENDING', 1, ?, ?)",
    ),
    spec: db.prepare('INSERT INTO execution_specs VALUES (?, ?, ?, ?)'),
    task: db.prepare(
      "INSERT INTO tasks (execution, idx, state, attempts, retries, infra_failures, start_time) VALUES (?, 0, 'RUNNING', 1, 0, 0, ?)",
    ),
    attempt: db.prepare(
      "INSERT INTO attempts (execution, idx, attempt, state, container_name, engine, owner, epoch, create_time) VALUES (?, 0, 0, 'STARTING', ?, 'engine', 'owner', 1, ?)",
    ),
  };
  const update = {
    started: db.prepare(
      "UPDATE executions SET state = 'RUNNING', running = 1, claimable = 0, next_index = 1, start_time = ?, update_time = ? WHERE seq = ?",
    ),
    attempt: db.prepare(
      "UPDATE attempts SET state = 'SUCCEEDED', exit_code = 0, start_time = ?, end_time = ? WHERE execution = ?",
    ),
    task: db.prepare("UPDATE tasks SET state = 'SUCCEEDED', completion_time = ? WHERE execution = ?"),
    ended: db.prepare(
      "UPDATE executions SET state = 'SUCCEEDED', running = 0, succeeded = 1, completion_time = ?, update_time = ?, expire_time = ? WHERE seq = ?",
    ),
  };
  const claim = ({ seq, name }) => {
    const now = Date.now();
    insert.task.run(seq, now);
    insert.attempt.run(seq, `tappet-${name}-0-0`, now);
    update.started.run(now, now, seq);
  };
  const finish = ({ seq, name }) => {
    const now = Date.now();
    update.attempt.run(now, now, seq);
    update.task.run(now, seq);
    update.ended.run(now, now, now + 2_592_000_000, seq);
    const type = 'dev.tappet.execution.v1.succeeded';
    const envelope = { specversion: '1.0', id: name, source: '/jobs/none', type, data: { execution: name } };
    insert.event.run(randomUUID(), 'execution', null, type, now, now, null, JSON.stringify(envelope));
  };
  const accept = ({ data, claims }) => {
    const now = Date.now();
    const uid = randomUUID();
    const id = randomUUID();
    const name = `none-${moment(now)}${randomBytes(6).toString('base64url').slice(0, 7)}`;
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
    const text = JSON.stringify({ event: uid, duplicate: false, decisions: [decision], executions: [name] });
    return { text, execution: { seq: execution.lastInsertRowid, name } };
  };
  return { accept, claim, finish };
}
