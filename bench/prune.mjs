// How much later calls are answered while 100,000 executions with their logs are removed: the 99th percentile of durable
// calls, 500 a second in an open loop (each timed from when it was due), less the same before the removal began.
// Afterwards no row and no log of them may be left.
import { Agent, request } from 'node:http';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { scratch, startGateway } from './lib.mjs';

const EXPIRED = 100_000;
const PER_SECOND = 500;
/** The first removal begins a minute after the start. */
const BEFORE_MS = 30_000;
const WARM_UP_MS = 15_000;
const GIVE_UP_MS = 600_000;
const NO_ENGINE = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };

export async function benchPrune() {
  const { dir, remove } = scratch();
  const config = {
    jobs: { none: { image: 'none:1' } },
    triggers: { in: { source: { kind: 'webhook', auth: 'none' }, run: { job: 'none' } } },
  };
  await (await startGateway(dir, config, NO_ENGINE)).stop();
  fill(join(dir, 'data'));
  const gateway = await startGateway(dir, config, NO_ENGINE);
  const db = new Database(join(dir, 'data', 'tappet.db'), { readonly: true });
  const left = db.prepare('SELECT COUNT(*) FROM executions WHERE expire_time IS NOT NULL').pluck();
  const load = startLoad(`${gateway.url}/hooks/in`);
  await pause(WARM_UP_MS);
  load.take();
  await pause(BEFORE_MS);
  const before = load.take();
  const began = performance.now();
  while (left.get() === EXPIRED) await wait(began);
  load.take();
  const removing = performance.now();
  while (left.get() > 0) await wait(began);
  const seconds = (performance.now() - removing) / 1000;
  const during = load.take();
  await load.stop();
  const orphans = db.prepare('SELECT COUNT(*) FROM attempts WHERE end_time IS NOT NULL').pluck().get();
  const logs = readdirSync(join(dir, 'data', 'logs')).filter((name) => name.startsWith('old-')).length;
  db.close();
  await gateway.stop();
  remove();
  if (orphans + logs > 0)
    throw new Error(`${String(orphans)} attempts and ${logs} logs of removed executions are left`);
  const [a, b] = [percentile(during, 0.99), percentile(before, 0.99)];
  const note = `p99 ${a.toFixed(1)} ms during ${seconds.toFixed(0)} s of removal, ${b.toFixed(1)} ms before`;
  return [{ name: 'prune-100k-p99-ms', ours: a - b, note }];
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function wait(began) {
  if (performance.now() - began > GIVE_UP_MS) throw new Error('the executions were not removed in time');
  await pause(100);
}

function percentile(values, share) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)];
}

/** Ended long ago, one task and one attempt each, with a log of a line. */
function fill(data) {
  const db = new Database(join(data, 'tappet.db'));
  const execution = db.prepare(
    "INSERT INTO executions (uid, name, job, job_generation, cause_kind, principal, task_count, parallelism, state, claimable, create_time, update_time, completion_time, expire_time, next_index, to_run, succeeded) VALUES (?, ?, 'none', 1, 'api', 'bench', 1, 1, 'SUCCEEDED', 0, 1, 1, 1, 2, 1, 1, 1)",
  );
  const spec = db.prepare("INSERT INTO execution_specs VALUES (?, '{}', '{}', '{}')");
  const task = db.prepare(
    "INSERT INTO tasks (execution, idx, state, attempts, retries, infra_failures, start_time, completion_time) VALUES (?, 0, 'SUCCEEDED', 1, 0, 0, 1, 1)",
  );
  const attempt = db.prepare(
    "INSERT INTO attempts (execution, idx, attempt, state, container_name, engine, owner, epoch, create_time, start_time, end_time, exit_code) VALUES (?, 0, 0, 'SUCCEEDED', ?, 'engine', 'owner', 1, 1, 1, 1, 0)",
  );
  db.transaction(() => {
    for (let i = 0; i < EXPIRED; i++) {
      const name = `old-${i}`;
      const seq = execution.run(`uid-${i}`, name).lastInsertRowid;
      spec.run(seq);
      task.run(seq);
      attempt.run(seq, `container-${i}`);
      const folder = join(data, 'logs', name, '0-0');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, '00000000000000000000.log'), 'a line\n');
    }
  })();
  db.close();
}

/** `take()`: the milliseconds of the calls that were answered since the last time. */
function startLoad(url) {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const taken = [];
  const open = new Set();
  const call = (due) =>
    new Promise((resolve, reject) => {
      const sent = request(url, { method: 'POST', agent, headers: { 'content-type': 'application/json' } });
      sent.on('error', reject);
      sent.on('response', (response) => {
        response.resume();
        response.on('end', () => {
          if (response.statusCode !== 202) {
            reject(new Error(`a call was answered ${response.statusCode}`));
            return;
          }
          taken.push(performance.now() - due);
          resolve();
        });
      });
      sent.end('{}');
    });
  let next = performance.now();
  const timer = setInterval(() => {
    for (; next <= performance.now(); next += 1000 / PER_SECOND) {
      const one = call(next);
      open.add(one);
      void one.then(() => open.delete(one));
    }
  }, 1);
  return {
    take: () => taken.splice(0),
    stop: async () => {
      clearInterval(timer);
      await Promise.all(open);
      agent.destroy();
    },
  };
}
