// How fast tasks start and end, by a runner that does nothing, while 100,000 executions wait, against the same with 1,000.
// The backlog is taken in while there is no engine. Each round is a new process that begins with the oldest.
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { interleave, load, scratch, startGateway } from './lib.mjs';

/** Many, as each times a third of a second, and differs from the next by a fifth. */
const ROUNDS = 31;
const FEW = 1_000;
const MANY = 100_000;
/** Timed are these of each round: what starts the process is over by then, and of the few some still wait. */
const FROM = 100;
const TO = 900;
const LOOK_MS = 2;
const NO_ENGINE = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };

export async function benchBacklog() {
  const [few, many] = [scratch(), scratch()];
  await fill(many.dir, MANY);
  const results = await interleave(
    ROUNDS,
    () => timedDispatch(many.dir),
    async () => {
      await fill(few.dir, FEW);
      return timedDispatch(few.dir);
    },
  );
  few.remove();
  many.remove();
  const note = `executions a second with ${MANY} waiting, and with ${FEW}`;
  return [{ name: 'backlog-100k', ours: perSecond(results.ours), floor: perSecond(results.floor), note }];
}

/** All rounds as one: of so short ones a median differs more from run to run. */
function perSecond(rounds) {
  const sum = (figure) => rounds.reduce((total, round) => total + round[figure], 0);
  return sum('done') / sum('seconds');
}

const CONFIG = {
  jobs: { none: { image: 'none:1', cpu: 0.05, memory: '6Mi' } },
  triggers: { in: { source: { kind: 'webhook', auth: 'none' }, run: { job: 'none' } } },
};

const count = (dir, where) => {
  const db = new Database(join(dir, 'data', 'tappet.db'), { readonly: true });
  const n = db.prepare(`SELECT COUNT(*) FROM executions WHERE ${where}`).pluck().get();
  db.close();
  return n;
};

/** Until so many wait: what wrk sends in a second is more than a thousand, so the last is sent one by one. */
async function fill(dir, wanted) {
  const gateway = await startGateway(dir, CONFIG, NO_ENGINE);
  const url = `${gateway.url}/hooks/in`;
  const waiting = () => count(dir, "state = 'PENDING'");
  const headers = { 'content-type': 'application/json' };
  while (waiting() < wanted - 10_000) await load(url, { seconds: 4, headers, body: '{}' });
  const rest = Array.from({ length: Math.max(0, wanted - waiting()) });
  while (rest.length > 0) await Promise.all(rest.splice(0, 64).map(() => post(url, headers)));
  await gateway.stop();
}

async function post(url, headers) {
  const response = await fetch(url, { method: 'POST', headers, body: '{}' });
  if (response.status !== 202) throw new Error(`POST ${url}: ${response.status} ${await response.text()}`);
}

/** What was timed in a round: how many, and in how many seconds. */
async function timedDispatch(dir) {
  const before = count(dir, "state = 'SUCCEEDED'");
  const program = join(import.meta.dirname, '../test/support/no-op-gateway.mjs');
  const gateway = await startGateway(dir, CONFIG, {}, { program });
  const db = new Database(join(dir, 'data', 'tappet.db'), { readonly: true });
  const ended = db.prepare("SELECT COUNT(*) FROM executions WHERE state = 'SUCCEEDED'").pluck();
  const at = async (n) => {
    for (;;) {
      const done = ended.get() - before;
      if (done >= n) return { done, time: performance.now() };
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  };
  const first = await at(FROM);
  const last = await at(TO);
  db.close();
  await gateway.stop();
  return { done: last.done - first.done, seconds: (last.time - first.time) / 1000 };
}
