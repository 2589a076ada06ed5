import { existsSync, readdirSync } from 'node:fs';
import fs from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { BodyFiles } from '../../src/bodies/body-files.ts';
import { createWebhookSource } from '../../triggers/webhook/source.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { Context } from '../support/webhook-context.ts';

/** What was asked of the disk, in its order; `fail` throws in place of a step. */
const disk = { steps: [] as string[], syncing: 0, mostSyncing: 0, fail: (_step: string): void => undefined };
const { open, rename, rm } = fs;

function did(step: string): void {
  disk.steps.push(step);
  disk.fail(step);
}

function watched(file: FileHandle, name: string): FileHandle {
  for (const method of ['sync', 'datasync'] as const) {
    const real = file[method].bind(file);
    file[method] = async () => {
      disk.syncing += 1;
      disk.mostSyncing = Math.max(disk.mostSyncing, disk.syncing);
      await real();
      disk.syncing -= 1;
      // Told of when it is over.
      did(`${method} ${name}`);
    };
  }
  return file;
}

beforeAll(() => {
  fs.open = async (path, ...rest) => watched(await open(path, ...rest), basename(String(path)));
  fs.rename = async (from, to) => {
    did(`rename ${basename(String(to))}`);
    await rename(from, to);
  };
  fs.rm = async (path, options) => {
    did(`rm ${basename(String(path))}`);
    await rm(path, options);
  };
  syncBuiltinESMExports();
});
afterAll(() => {
  Object.assign(fs, { open, rename, rm });
  syncBuiltinESMExports();
});
beforeEach(() => {
  disk.steps.length = 0;
  disk.mostSyncing = 0;
  disk.fail = () => undefined;
});

const MIB = 1024 * 1024;
const ROOMY = { space: async () => ({ free: 1e12, all: 1e12 }) };
const LIMITS = { maxBytes: 1e9, announcedBytes: undefined };
const bodyOf = (bytes: number) => new Response(new Uint8Array(bytes));

/** `dir` is not there yet. */
function rig() {
  const dir = join(tempFolder(), 'bodies');
  const clock = new ManualClock(Date.now());
  return { dir, clock, bodies: new BodyFiles({ dir, clock, disk: ROOMY }) };
}

async function call(bodies: BodyFiles) {
  const context = new Context();
  context.bodies = bodies;
  const accept = context.accept.bind(context);
  context.accept = (params) => {
    disk.steps.push('accept');
    return accept(params);
  };
  const spec = { kind: 'webhook', auth: { addresses: ['10.0.0.0/8'] }, bodyFile: { maxBytes: 1e9 } } as const;
  const source = createWebhookSource({ name: 'call', spec });
  await source.start(context);
  const request = new Request('http://127.0.0.1/hooks/call', { method: 'POST', body: 'film' });
  const answer = await source.receive?.(request, { remoteAddress: '10.0.0.1' });
  return { context, answer };
}

it('an event is stored after the disk has its body, the name of that, and the folder that it stands in', async () => {
  const { bodies, dir } = rig();
  const { answer } = await call(bodies);
  expect(answer?.status).toBe(202);
  const [uid = ''] = readdirSync(dir);
  expect(disk.steps).toEqual([
    `sync ${basename(join(dir, '..'))}`,
    `sync ${uid}.part`,
    `rename ${uid}`,
    'sync bodies',
    'accept',
  ]);
});

it.each([
  ['the body', /\.part$/],
  ['its name', /^rename/],
  ['its folder', /^sync bodies$/],
  ['the name of the folder', /^sync (?!bodies$|.*\.part$)/],
])('a disk that does not take %s: 503, no event and no file', async (_name, step) => {
  const { bodies, dir } = rig();
  disk.fail = (one) => {
    if (step.test(one) && !one.startsWith('rm')) throw new Error("EIO: i/o error, fsync '/data/bodies/x'");
  };
  const { answer, context } = await call(bodies);
  expect(answer?.status).toBe(503);
  expect(await answer?.text()).not.toContain('/data/');
  expect(context.events).toEqual([]);
  expect(disk.steps).not.toContain('accept');
  expect(readdirSync(dir)).toEqual([]);
  disk.fail = () => undefined;
  expect((await call(bodies)).answer?.status).toBe(202);
});

it('bodies that come in together keep at most two syncs waiting for the disk, of 8 MiB each', async () => {
  const { bodies } = rig();
  const all = Array.from({ length: 6 }, (_, i) => bodies.receive(`u-${i}`, bodyOf(9 * MIB), LIMITS));
  await Promise.all(all);
  expect(disk.steps.filter((step) => step.startsWith('datasync'))).toHaveLength(6);
  expect(disk.mostSyncing).toBe(2);
});

it('of bodies that come first, and together, none is whole before the name of the folder is on the disk', async () => {
  const { bodies, dir } = rig();
  await Promise.all(['a', 'b', 'c'].map((uid) => bodies.receive(uid, bodyOf(1), LIMITS)));
  const parent = `sync ${basename(join(dir, '..'))}`;
  expect(disk.steps[0]).toBe(parent);
  expect(disk.steps.filter((step) => step === parent)).toHaveLength(1);
});

it('a sweep goes on after a file that it cannot remove, and then says so', async () => {
  const { bodies, dir, clock } = rig();
  for (const uid of ['a', 'b', 'c']) (await bodies.receive(uid, bodyOf(1), LIMITS)).keep();
  await clock.advance(60 * 60_000);
  disk.fail = (step) => {
    if (step === 'rm b') throw new Error('EPERM: operation not permitted');
  };
  await expect(bodies.sweep({ whichEventsExist: async () => new Set() })).rejects.toThrow('EPERM');
  expect(existsSync(dir) && readdirSync(dir)).toEqual(['b']);
});
