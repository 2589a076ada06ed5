import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { appendFile, mkdir, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

/**
 * Files that land while the gateway is killed and started again: each that was finished is one event, one decision
 * and one execution. No engine is needed for that, and none is used: the executions wait.
 */
const FILES = 1_000;
/** Every fifth writer is slow: it writes in pieces, well within the settle time of each other. */
const SLOW = 5;
const PIECES = 6;
const PIECE_MS = 150;
const DROP_MS = 10_000;
const KILLS_AT = [0.3, 0.7];

const base = mkdtempSync(join(tmpdir(), 'tappet-e2e-files-'));
const inbox = join(base, 'inbox');
afterAll(() => rmSync(base, { recursive: true, force: true }));

const gateway = new GatewayProcess({
  dir: join(base, 'gateway'),
  env: { DOCKER_HOST: 'unix:///nowhere/docker.sock' },
  config: {
    jobs: { import: { image: 'none' } },
    triggers: {
      inbox: {
        source: { kind: 'files', path: '../inbox', glob: '**/*.csv' },
        run: { job: 'import', env: { FILE: '${{ event.data.path }}' } },
      },
    },
  },
});

/** As a careful program does: under a name that nobody is to take, then renamed. */
async function renamed(path: string, text: string): Promise<void> {
  const temporary = path.replace(/\.csv$/, '.csv.part');
  await writeFile(temporary, text);
  await rename(temporary, path);
}

async function slow(path: string, text: string): Promise<void> {
  const piece = Math.ceil(text.length / PIECES);
  for (let i = 0; i < PIECES; i++) {
    await appendFile(path, text.slice(i * piece, (i + 1) * piece));
    await pause(PIECE_MS);
  }
}

/** The names of the finished files, with their sizes. */
async function drop(): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  const writers = Array.from({ length: FILES }, async (_, i) => {
    await pause((i / FILES) * DROP_MS);
    const name = `${i % 7}/file ${i}.csv`;
    const text = `row ${i}\n`.repeat(20 + (i % 50));
    sizes.set(name, text.length);
    await (i % SLOW === 0 ? slow : renamed)(join(inbox, name), text);
  });
  await Promise.all(writers);
  return sizes;
}

async function killTwice(): Promise<void> {
  let passed = 0;
  for (const at of KILLS_AT) {
    await pause(at * DROP_MS - passed);
    passed = at * DROP_MS;
    await gateway.kill();
    await gateway.start();
  }
}

const subjects = (events: readonly JsonObject[]): string[] =>
  events.map(({ event }) => String((event as JsonObject)['subject']));

it('1,000 dropped files, two kills: each finished file is one execution', { timeout: 180_000 }, async () => {
  for (let i = 0; i < 7; i++) await mkdir(join(inbox, `${i}`), { recursive: true });
  await gateway.start();
  const [sizes] = await Promise.all([drop(), killTwice()]);
  expect(sizes.size).toBe(FILES);
  // Once this one is through, so is everything that a start and a scan can still find.
  await gateway.kill();
  await gateway.start();
  await renamed(join(inbox, 'last.csv'), 'the end');
  sizes.set('last.csv', 7);
  await gateway.until(
    '/api/v1/events?pageSize=1',
    ({ events }) => (subjects(events as JsonObject[])[0] === 'last.csv' ? true : undefined),
    120_000,
  );

  const events = await gateway.list('/api/v1/events?trigger=inbox', 'events');
  expect(subjects(events).sort()).toEqual([...sizes.keys()].sort());
  const executions = await gateway.list('/api/v1/executions?trigger=inbox', 'executions');
  expect(new Set(executions.map(({ cause }) => (cause as JsonObject)['event'])).size).toBe(FILES + 1);
  expect(executions).toHaveLength(FILES + 1);
  for (const { uid } of events) {
    const detail = (await gateway.api('GET', `/api/v1/events/${String(uid)}`)).json();
    const { name, size, path, ino } = (detail['event'] as { data: Record<string, unknown> }).data;
    expect(size, `the whole of ${String(name)}`).toBe(sizes.get(String(name)));
    expect(ino).toBe(String(statSync(String(path), { bigint: true }).ino));
    expect(path).toBe(join(inbox, String(name)));
  }
  await gateway.stop();
});
