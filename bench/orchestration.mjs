// From an accepted call to its execution's end by a runner that does nothing: event, decision, execution, task, attempt
// and log of each, against a bare server that makes the same three grouped commits. 64 connections, closed loop, until
// all that were sent are through.
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { interleave, load, median, ROUNDS, scratch, startGateway, startProgram } from './lib.mjs';

const SECONDS = 4;
const LOOK_MS = 10;
const GIVE_UP_MS = 60_000;
const BODY = JSON.stringify({ id: 1, kind: 'push', text: 'x'.repeat(960) });
const HEADERS = { 'content-type': 'application/json' };

export async function benchOrchestration() {
  const { dir, remove } = scratch();
  const program = join(import.meta.dirname, '../test/support/no-op-gateway.mjs');
  const gateway = await startGateway(dir, config(), {}, { program });
  const path = join(gateway.dataDir, 'tappet.db');
  const args = [join(import.meta.dirname, 'floors/orchestration.mjs'), join(dir, 'floor.db'), path];
  const floor = await startProgram(args);
  const db = new Database(path, { readonly: true });
  const ended = db.prepare("SELECT COUNT(*) AS n FROM executions WHERE state = 'SUCCEEDED'").pluck();
  const stored = db.prepare('SELECT COUNT(*) AS n FROM executions').pluck();
  const results = await interleave(
    ROUNDS,
    () =>
      perSecond(
        `${gateway.url}/hooks/in`,
        async () => ended.get(),
        async () => stored.get(),
      ),
    () => {
      const count = async () => Number(await (await fetch(floor.url)).text());
      return perSecond(`${floor.url}/hooks/in`, count);
    },
  );
  db.close();
  await gateway.stop();
  await floor.stop();
  remove();
  const note = 'executions a second, from the call to the end';
  return [{ name: 'orchestration', ours: median(results.ours), floor: median(results.floor), note }];
}

function config() {
  return {
    // Small, so that as many may run at the same time as come.
    jobs: { none: { image: 'none:1', cpu: 0.05, memory: '6Mi' } },
    triggers: {
      in: { source: { kind: 'webhook', auth: 'none' }, when: 'event.data.id > 0', run: { job: 'none' } },
    },
  };
}

/** `done`: how many are through, `sent`: how many there are, of all rounds; without it all that were answered count. */
async function perSecond(url, done, sent) {
  const before = await done();
  const began = performance.now();
  const { requests } = await load(url, { seconds: SECONDS, headers: HEADERS, body: BODY });
  const goal = () => (sent === undefined ? before + requests : sent());
  while ((await done()) < (await goal())) {
    if (performance.now() - began > GIVE_UP_MS)
      throw new Error(`only ${await done()} of ${await goal()} are through`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  const seconds = (performance.now() - began) / 1000;
  return ((await done()) - before) / seconds;
}
