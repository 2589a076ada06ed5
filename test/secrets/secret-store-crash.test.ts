import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SecretStore } from '../../src/secrets/secret-store.ts';
import { WatchedFiles, type Side, type Step } from '../support/watched-files.ts';

/** In memory where that is possible: hundreds of runs, each with several syncs. */
const BASE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const TIME = '2026-01-01T00:00:00.000Z';
const add = (store: SecretStore, value: string) => store.add('db', Buffer.from(value), TIME);

/** What `db` gives; undefined where the store says that there is none. Any other complaint fails the test. */
async function valueOf(store: SecretStore, version?: number): Promise<string | undefined> {
  try {
    return (await store.read('db', version)).reveal();
  } catch (error) {
    expect(String(error)).toMatch(/there is no secret "db"|has no version/);
    return undefined;
  }
}

interface Scenario {
  readonly name: string;
  readonly before: (store: SecretStore) => Promise<unknown>;
  readonly act: (store: SecretStore) => Promise<unknown>;
  /** What `db` may give when it was cut off. */
  readonly allowed: readonly (string | undefined)[];
  readonly firstVersion: string;
  /** Steps that must have been among those that were hit. */
  readonly steps: readonly string[];
}

const DRAFT = ['create draft', 'writeFile draft', 'sync draft'];
const scenarios: readonly Scenario[] = [
  {
    name: 'the first secret of a new data folder',
    before: async () => undefined,
    act: (store) => add(store, 'new'),
    allowed: [undefined, 'new'],
    firstVersion: 'new',
    steps: [
      'mkdir data',
      'mkdir secrets',
      ...DRAFT,
      'link draft secrets.key',
      'sync data',
      'link draft db@1',
      'rm draft',
      'sync secrets',
    ],
  },
  {
    name: 'a next version',
    before: (store) => add(store, 'old'),
    act: (store) => add(store, 'new'),
    allowed: ['old', 'new'],
    firstVersion: 'old',
    steps: [...DRAFT, 'sync data', 'link draft db@2', 'rm draft', 'sync secrets'],
  },
  {
    name: 'the end of the newest version',
    before: async (store) => [await add(store, 'old'), await add(store, 'new')],
    act: (store) => store.remove('db', 2, TIME),
    allowed: ['old', 'new'],
    firstVersion: 'old',
    steps: [...DRAFT, 'rename draft db@2', 'sync secrets'],
  },
  {
    name: 'the end of a secret',
    before: async (store) => [await add(store, 'old'), await add(store, 'new')],
    act: (store) => store.remove('db', undefined, TIME),
    // Never back to the old one.
    allowed: ['new', undefined],
    firstVersion: 'old',
    steps: [...DRAFT, 'rename draft db@1', 'rename draft db@2', 'sync secrets'],
  },
];

const short = (path: string): string =>
  basename(path)
    .replace(/^draft-.*/, 'draft')
    .replace(/^tappet-.*/, 'parent');
const named = ({ call, path, to }: Step): string =>
  [call, short(path), ...(to === undefined ? [] : [short(to)])].join(' ');

/** One run in a folder of its own, killed at a step or not at all. */
async function run<T>(
  { before, act }: Scenario,
  deathAt: { readonly step: number; readonly side: Side } | undefined,
  check: (store: SecretStore, files: WatchedFiles, dataDir: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(BASE, 'tappet-secrets-'));
  try {
    const dataDir = join(folder, 'data');
    const store = new SecretStore({ dataDir, env: {} });
    await before(store);
    const files = new WatchedFiles(folder, deathAt);
    expect(await files.during(() => act(store))).toBe(deathAt === undefined ? 'done' : 'died');
    return await check(store, files, dataDir);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The store is in order, and goes on. */
async function checkAftermath(store: SecretStore, dataDir: string, scenario: Scenario): Promise<void> {
  expect(scenario.allowed).toContain(await valueOf(store));
  // What a number once gave is all that it ever gives.
  expect([undefined, scenario.firstVersion]).toContain(await valueOf(store, 1));
  const { version } = await add(store, 'again');
  expect(await valueOf(store)).toBe('again');
  expect(await valueOf(store, version)).toBe('again');
  const files = [
    join(dataDir, 'secrets.key'),
    ...readdirSync(join(dataDir, 'secrets')).map((name) => join(dataDir, 'secrets', name)),
  ];
  for (const file of files) expect([file, statSync(file).mode & 0o077]).toEqual([file, 0]);
}

describe.each(scenarios)('$name', (scenario) => {
  it('is whole or not there, wherever the process is killed, and the next call goes on', async () => {
    const steps = await run(scenario, undefined, async (_store, files) => files.steps);
    expect(steps.map(named)).toEqual(expect.arrayContaining([...scenario.steps]));
    const hit = new Set<string>();
    for (const [step, { call }] of steps.entries()) {
      const sides: Side[] = call === 'writeFile' ? ['before', 'half', 'after'] : ['before', 'after'];
      for (const side of sides) {
        await run(scenario, { step, side }, async (store, files, dataDir) => {
          hit.add(named(files.steps.at(-1) ?? { call: '', path: '' }));
          await checkAftermath(store, dataDir, scenario);
        });
      }
    }
    expect([...hit].sort()).toEqual([...new Set(steps.map(named))].sort());
  }, 30_000);

  it('is on disk before it is told: content before its name, the key before what it sealed', async () => {
    const { steps } = await run(scenario, undefined, async (_store, files) => files);
    const at = (call: string, path: string, from = 0): number =>
      steps.findIndex((step, i) => i >= from && step.call === call && step.path === path);
    const moves = steps.flatMap((step, i) =>
      step.to === undefined ? [] : [{ from: step.path, to: step.to, i }],
    );
    expect(moves.length).toBeGreaterThan(0);
    for (const { from, to, i } of moves) {
      const written = at('writeFile', from);
      expect(written).toBeGreaterThanOrEqual(0);
      expect(at('sync', from, written)).toBeGreaterThan(written);
      expect(at('sync', from, written)).toBeLessThan(i);
      expect(at('sync', dirname(to), i)).toBeGreaterThan(i);
    }
    const versionLink = steps.findLastIndex(({ call }) => call === 'link');
    if (versionLink < 0) return;
    const keyLink = steps.findIndex(({ to }) => to?.endsWith('secrets.key') === true);
    const dataDir = dirname(dirname(steps[versionLink]?.to ?? ''));
    expect(at('sync', dataDir, keyLink + 1)).toBeLessThan(versionLink);
    expect(at('sync', dataDir, keyLink + 1)).toBeGreaterThan(keyLink);
  });
});
