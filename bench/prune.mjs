// How much later calls are answered while 100,000 executions with their logs are removed: the 99th percentile of durable
// calls, 500 a second in an open loop (each timed from when it was due), less the same before and after it.
// Afterwards no row and no log of them may be left.
import { Agent, request } from 'node:http';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { addOldExecutions } from './old-executions.mjs';
import { median, scratch, startGateway } from './lib.mjs';

const EXPIRED = 100_000;
/** Odd, for the median; each takes two minutes. */
const PRUNE_ROUNDS = 3;
/** Where calls are answered later (p99) without any removal, a round tells nothing of it: another is tried. */
const LOUD_MS = 20;
const MAX_TRIES = 6;
const PER_SECOND = 500;
/** The first removal begins a minute after the start. */
const BEFORE_MS = 30_000;
const WARM_UP_MS = 15_000;
const GIVE_UP_MS = 600_000;
const NO_ENGINE = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };

export async function benchPrune() {
  const rounds = [];
  const counted = () => rounds.filter(({ quiet }) => quiet <= LOUD_MS);
  while (counted().length < PRUNE_ROUNDS) {
    if (rounds.length === MAX_TRIES) throw new Error(`the machine is too loud for this: ${told(rounds)}`);
    rounds.push(await pruneOnce());
  }
  const later = median(counted().map(({ quiet, during }) => during - quiet));
  const note = `p99 of each round: ${told(rounds)}`;
  return [{ name: 'prune-100k-p99-ms', ours: later, note }];
}

function told(rounds) {
  const each = rounds.map(({ quiet, during, seconds }) => {
    const calls = `${during.toFixed(1)} ms in ${seconds.toFixed(0)} s of removal, ${quiet.toFixed(1)} ms before and after`;
    return quiet > LOUD_MS ? `${calls} (too loud to count)` : calls;
  });
  return each.join('; ');
}

/** p99 in ms of the calls while all is removed, and of those before and after it together. */
async function pruneOnce() {
  const { dir, remove } = scratch();
  const config = {
    jobs: { none: { image: 'none:1' } },
    triggers: { in: { source: { kind: 'webhook', auth: 'none' }, run: { job: 'none' } } },
  };
  await (await startGateway(dir, config, NO_ENGINE)).stop();
  // One task and one attempt each, with a log of a line.
  addOldExecutions(join(dir, 'data'), EXPIRED);
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
  await pause(BEFORE_MS);
  const after = load.take();
  await load.stop();
  const orphans = db.prepare('SELECT COUNT(*) FROM attempts WHERE end_time IS NOT NULL').pluck().get();
  const logs = readdirSync(join(dir, 'data', 'logs')).filter((name) => name.startsWith('old-')).length;
  db.close();
  await gateway.stop();
  remove();
  if (orphans + logs > 0)
    throw new Error(`${String(orphans)} attempts and ${logs} logs of removed executions are left`);
  return { quiet: percentile([...before, ...after], 0.99), during: percentile(during, 0.99), seconds };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function wait(began) {
  if (performance.now() - began > GIVE_UP_MS) throw new Error('the executions were not removed in time');
  await pause(100);
}

function percentile(values, share) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)];
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
