import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { engineHost } from '../support/engine-host.ts';
import { PARTS, uploadInEveryWay } from '../support/every-upload.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import type { TestStore } from '../support/minio.ts';
import { testMinio } from '../support/minio.ts';
import type { Handled, NotifyProxy, Put, UploadsConfig } from '../support/uploads.ts';
import {
  NOTIFY_TOKEN,
  Uploads,
  countOf,
  envOf,
  handled,
  notifyOf,
  startNotifyProxy,
  uploadsConfig,
} from '../support/uploads.ts';

/**
 * The built product and a real MinIO. What was uploaded is known from the store's own answers, what became of it from
 * the gateway's API. Where no container is named there is no engine: the executions wait, and are counted.
 */
const NO_ENGINE = 'unix:///nowhere/docker.sock';
const CRASHING = join(import.meta.dirname, '../support/crash-gateway.mjs');
/** What an unwanted second event would have come by: a few listings. */
const POLL = '1s';
const SETTLED_MS = 2_500;
const PATH = '/notify/storage/store';

const base = mkdtempSync(join(tmpdir(), 'tappet-e2e-uploads-'));
let minio: TestStore;
let proxy: NotifyProxy;
let gateway: GatewayProcess;

beforeAll(async () => {
  proxy = await startNotifyProxy();
  const webhook = { url: `${proxy.url}${PATH}`, token: NOTIFY_TOKEN };
  minio = await testMinio({
    webhook: [
      // Tells at once, and forgets what was not taken.
      { ...webhook, id: 'QUICK' },
      // As docs/storage.md says: keeps what was not taken.
      { ...webhook, id: 'KEEPING', queueDir: join(base, 'queue') },
    ],
    env: { MINIO_API_SYNC_EVENTS: 'on' },
  });
});
afterAll(async () => {
  await minio.close();
  await proxy.close();
  rmSync(base, { recursive: true, force: true });
});
beforeEach(() => {
  proxy.drop = () => false;
  proxy.dropped.length = 0;
  proxy.taken.length = 0;
});
afterEach(() => gateway.stop());

interface Wanted extends UploadsConfig {
  readonly env?: Readonly<Record<string, string>>;
  readonly program?: string;
}
/** A gateway that the notifications of the store reach. */
function newGateway({ env = {}, program, ...wanted }: Wanted): GatewayProcess {
  gateway = new GatewayProcess({
    dir: mkdtempSync(join(base, 'gateway-')),
    ...(program === undefined ? {} : { program }),
    env: { DOCKER_HOST: NO_ENGINE, ...envOf(minio), ...env },
    config: uploadsConfig(minio, { poll: POLL, ...wanted }),
  });
  proxy.target = () => gateway.url;
  return gateway;
}

const executions = (): Promise<JsonObject[]> => gateway.list('/api/v1/executions', 'executions');
/** Resolves when there are so many executions. */
const untilExecutions = (count: number, withinMs = 30_000) =>
  expect.poll(async () => (await executions()).length, { timeout: withinMs, interval: 200 }).toBe(count);

/** `<trigger> <key>` of each execution. */
async function runs(): Promise<string[]> {
  const found = await executions();
  return found.map(({ cause, spec }) => `${(cause as { trigger: string }).trigger} ${objectOf(spec)}`).sort();
}
const objectOf = (spec: unknown): string => (spec as { env: { OBJECT: string } }).env.OBJECT;

describe('each upload is one execution', () => {
  it.each([true, false])(
    'put, overwrite, multipart, copy, delete, odd keys, bucket with versions: %s',
    async (versioned) => {
      const uploads = new Uploads(minio, await minio.bucket({ versioned }));
      const { bucket, puts } = uploads;
      await notifyOf(minio, bucket, 'QUICK');
      await newGateway({ triggers: { up: { bucket } } }).start();
      await uploadInEveryWay(minio, uploads);
      await untilExecutions(puts.length);
      // What listings, a restart with a listing, and late notifications would add.
      await gateway.kill();
      await gateway.start();
      await pause(SETTLED_MS);
      const found = await handled(gateway, bucket);
      // MinIO gives the marker of a folder no version, in any bucket.
      const version = (key: string, id: string): string =>
        versioned && !key.endsWith('/') ? id : 'known by its time';
      const wanted = puts.map(({ key, etag, versionId, size }) =>
        JSON.stringify([key, etag, version(key, versionId), size]),
      );
      const told = found.map(({ key, etag, generation, size }) =>
        JSON.stringify([key, etag, version(key, generation), size]),
      );
      expect(told.sort()).toEqual(wanted.sort());
      if (versioned) expect(new Set(puts.map(({ versionId }) => versionId)).size).toBe(puts.length);
      for (const { key, executions: own } of found) {
        expect(own.map(({ spec }) => objectOf(spec))).toEqual([key]);
      }
      expect(await executions()).toHaveLength(puts.length);
    },
  );

  it('a container gets the exact key and the bytes of its version', async () => {
    const uploads = new Uploads(minio, await minio.bucket({ versioned: true }));
    const { bucket, puts } = uploads;
    await notifyOf(minio, bucket, 'QUICK');
    const env = { DOCKER_HOST: await engineHost() };
    await newGateway({ triggers: { up: { bucket, job: 'read' } }, env }).start();
    // Overwritten before any container could read it.
    for (const body of ['first', 'second', 'third']) await uploads.put('over written', body);
    for (const key of ['a+b', '100%', 'lit%20eral', 'ünï/ço–dé 😀', 'l\nine']) await uploads.put(key, key);
    await uploads.multipart('multi part', PARTS);
    await untilExecutions(puts.length);
    const outputs: string[] = [];
    for (const { name } of await executions()) {
      const path = `/api/v1/executions/${String(name)}`;
      const ended = await gateway.until(path, (one) => (one['completionTime'] === null ? undefined : one));
      expect(ended).toMatchObject({ state: 'SUCCEEDED' });
      outputs.push((await gateway.api('GET', `${path}/tasks/0/logs`)).text);
    }
    expect(outputs.sort()).toEqual(puts.map(({ key, sha256 }) => `${key}\n${sha256}  -\n`).sort());
  });

  it('what was there before is skipped or run, as the trigger says, and new ones run for both', async () => {
    const uploads = new Uploads(minio, await minio.bucket());
    const { bucket } = uploads;
    for (let i = 0; i < 5; i++) await uploads.put(`old ${i}`, `${i}`);
    // The store tells its time in whole seconds.
    await pause(1_100);
    await newGateway({ triggers: { skips: { bucket }, takes: { bucket, existing: 'run' } } }).start();
    await untilExecutions(5);
    await pause(1_100);
    await uploads.put('new', 'new');
    await untilExecutions(7);
    await gateway.kill();
    await gateway.start();
    await pause(SETTLED_MS);
    const skipped = async (trigger: string): Promise<unknown> => {
      const { status } = (await gateway.api('GET', `/api/v1/triggers/${trigger}`)).json();
      return (status as { existing: unknown } | null)?.existing;
    };
    expect(await skipped('skips')).toEqual({ skipped: 5, complete: true });
    expect(await skipped('takes')).toEqual({ skipped: 0, complete: true });
    const seen = await gateway.list('/api/v1/events?trigger=skips', 'events');
    expect(seen.map(({ event }) => (event as { subject: string }).subject)).toEqual(['objects/new']);
    const old = Array.from({ length: 5 }, (_, i) => `takes old ${i}`);
    expect(await runs()).toEqual(['skips new', 'takes new', ...old].sort());
    expect(gateway.output).toMatch(/"trigger":"skips".*"skipped":5.*were there before/);
  });
});

describe('bad input', () => {
  it('a notification with a wrong token is 401 and nothing of it is stored', async () => {
    const uploads = new Uploads(minio, await minio.bucket());
    const { bucket } = uploads;
    await notifyOf(minio, bucket, 'QUICK');
    // The trigger is of another folder: all that is known of this object is what the notification says.
    await newGateway({ triggers: { up: { bucket, prefix: 'elsewhere/' } } }).start();
    await uploads.put('taken', 'x');
    const [real] = proxy.taken;
    if (real === undefined) throw new Error('the store sent nothing');
    const forged = real.body.toString().replaceAll('taken', 'forged');
    const call = async (authorization: string | undefined): Promise<number> => {
      const headers = authorization === undefined ? {} : { authorization };
      return (await fetch(`${gateway.url}${PATH}`, { method: 'POST', headers, body: forged })).status;
    };
    const wrong = [undefined, 'Bearer wrong', `Basic ${NOTIFY_TOKEN}`, `Bearer ${NOTIFY_TOKEN}x`, 'Bearer '];
    for (const authorization of wrong) expect(await call(authorization)).toBe(401);
    expect((await handled(gateway, bucket)).map(({ key }) => key)).toEqual(['taken']);
    expect(await call(real.headers.authorization)).toBe(204);
    expect((await handled(gateway, bucket)).map(({ key }) => key).sort()).toEqual(['forged', 'taken']);
    expect(await executions()).toEqual([]);
  });

  it('an unknown bucket, wrong keys, a store that is down: it starts, says which waits, and recovers', async () => {
    const bucket = await minio.bucket();
    const key = join(base, 'the.key');
    writeFileSync(key, 'not the key');
    const connections = {
      'no-bucket': {},
      'wrong-keys': { secretAccessKey: { file: key } },
    };
    const triggers = {
      down: { bucket },
      missing: { connection: 'no-bucket', bucket: 'not-made-yet' },
      locked: { connection: 'wrong-keys', bucket },
    };
    await minio.server.kill();
    newGateway({ triggers, connections });
    await gateway.start();
    // Each has asked the store once; the first to serve may be the gateway.
    await untilWaiting(['no-bucket', 'store', 'wrong-keys']);

    await minio.server.restart();
    await untilWaiting(['no-bucket', 'wrong-keys']);
    // Until it has asked again, each still says that nobody answered.
    await expect.poll(waiting, { timeout: 40_000, interval: 100 }).toMatchObject({
      'no-bucket': expect.stringContaining('not-made-yet') as string,
      'wrong-keys': expect.stringMatching(/key/i) as string,
    });
    await minio.client.send(new CreateBucketCommand({ Bucket: 'not-made-yet' }));
    writeFileSync(key, minio.server.secretKey);
    await untilWaiting([]);
    await pause(1_100);
    await minio.put('not-made-yet', 'one', '1');
    await minio.put(bucket, 'two', '2');
    await untilExecutions(3);
    expect(await runs()).toEqual(['down two', 'locked two', 'missing one']);
    const status = (await gateway.api('GET', '/api/v1/status')).json();
    expect(status).toMatchObject({ sources: { running: 3, failed: [] } });
  });

  /** What the status says of each source that waits, by its name. */
  async function waiting(): Promise<Record<string, string>> {
    const { sources } = (await gateway.api('GET', '/api/v1/status')).json();
    const { failed } = sources as { failed: { name: string; message: string }[] };
    return Object.fromEntries(failed.map(({ name, message }) => [name, message]));
  }
  async function untilWaiting(names: readonly string[]): Promise<void> {
    await expect
      .poll(async () => Object.keys(await waiting()).sort(), { timeout: 40_000, interval: 100 })
      .toEqual(names);
  }
});

describe('500 uploads, the gateway killed twice, a tenth of the notifications lost', () => {
  const COUNT = 500;
  const AT_A_TIME = 4;
  const GROUP = 7;
  /** Where the gateway ends itself with SIGKILL, and the uploads that wait until it has: both fall in their midst. */
  const KILLS = [
    { place: 'store.decide:before:60', holds: 200 },
    { place: 'store.decide:after:60', holds: 400 },
  ];

  it('each version is handled once, in a bucket with versions', async () => {
    const { uploads, lost } = await uploadAndKill(true);
    const { bucket, puts } = uploads;
    await untilExecutions(COUNT, 60_000);
    await pause(SETTLED_MS);
    const found = await handled(gateway, bucket);
    const one = ({ key, etag, versionId, size }: Put): string => JSON.stringify([key, etag, versionId, size]);
    const wanted = puts.map(one);
    expect(new Set(wanted).size).toBe(COUNT);
    expect(await uploads.listedVersions()).toEqual(puts.map(({ versionId }) => versionId).sort());
    expect(
      found.map(({ generation, ...rest }) => one({ ...rest, versionId: generation, sha256: '' })).sort(),
    ).toEqual(wanted.sort());
    checkExecutions(found, await executions());
    expect(lost).toBe(COUNT / 10);
  });

  it('each that a listing can see is handled once, the others at most once, in one without', async () => {
    const { uploads, lost } = await uploadAndKill(false);
    const { bucket, puts } = uploads;
    const content = ({ key, etag }: { readonly key: string; readonly etag: string }): string =>
      JSON.stringify([key, etag]);
    const written = countOf(puts, content);
    const unheard = countOf(proxy.dropped, content);
    // Overwritten, and its notification lost: nobody can know of it.
    const visible = await uploads.listedObjects();
    const standing = countOf(visible, content);
    const least = [...written].map(([text, count]): [string, number] => {
      return [text, Math.max(count - (unheard.get(text) ?? 0), standing.get(text) ?? 0)];
    });
    const total = least.reduce((sum, [, count]) => sum + count, 0);
    await expect
      .poll(async () => (await executions()).length, { timeout: 60_000, interval: 500 })
      .toBeGreaterThanOrEqual(total);
    await pause(SETTLED_MS);
    const found = await handled(gateway, bucket);
    const told = countOf(found, content);
    const text = ({ key, etag, generation }: Handled): string => JSON.stringify([key, etag, generation]);
    const once = countOf(found, text);
    expect([...once].filter(([, count]) => count > 1)).toEqual([]);
    // More only where the same bytes stood several times and a listing saw one of those.
    expect([...told].filter(([each, count]) => count > (written.get(each) ?? 0))).toEqual([]);
    expect(least.filter(([each, count]) => (told.get(each) ?? 0) < count)).toEqual([]);
    expect(visible.filter((one) => once.get(text({ ...one, size: 0, executions: [] })) !== 1)).toEqual([]);
    expect(total).toBeGreaterThan(COUNT * 0.9);
    checkExecutions(found, await executions());
    expect(lost).toBe(COUNT / 10);
  });

  function checkExecutions(found: readonly Handled[], all: readonly JsonObject[]): void {
    for (const { key, executions: own } of found) {
      expect(own.map(({ spec }) => objectOf(spec))).toEqual([key]);
    }
    expect(all).toHaveLength(found.length);
  }

  /** Resolves when all is uploaded, both kills have been, and the gateway has been told all that is not lost. */
  async function uploadAndKill(versioned: boolean) {
    const uploads = new Uploads(minio, await minio.bucket({ versioned }));
    const { bucket, puts } = uploads;
    await notifyOf(minio, bucket, 'KEEPING');
    let sent = 0;
    proxy.drop = () => ++sent % 10 === 3;
    newGateway({ triggers: { up: { bucket } }, program: CRASHING });
    let killed = 0;
    const moments: string[] = [];
    const record = join(base, `place-${bucket}`);
    const killing = (async () => {
      for (const { place } of KILLS) {
        // What the first listing finds may be enough for the kill: before it says that it listens.
        await gateway.start({ CRASH: place, CRASH_RECORD: record }).catch(() => undefined);
        expect(await gateway.ended()).toEqual({ code: null, signal: 'SIGKILL' });
        expect(readFileSync(record, 'utf8')).toBe(place);
        rmSync(record);
        moments.push(`${place} after ${puts.length} uploads`);
        killed++;
        // Uploads go on while nobody is there.
        await pause(300);
      }
      await gateway.start({ CRASH: '', CRASH_RECORD: record });
    })();
    // The trigger's first start, from which on everything is new.
    await expect.poll(() => gateway.output, { timeout: 10_000 }).toContain('were there before');
    let next = 0;
    const uploader = async (): Promise<void> => {
      while (next < COUNT) {
        const from = next;
        next += GROUP;
        // In turn: of the same bytes within a millisecond a bucket without versions could not tell.
        for (let i = from; i < Math.min(from + GROUP, COUNT); i++) {
          while (KILLS.some(({ holds }, n) => i >= holds && killed <= n)) await pause(20);
          const [key, body] = keyAndBody(i);
          await uploads.put(key, body);
        }
      }
    };
    await Promise.all([killing, ...Array.from({ length: AT_A_TIME }, uploader)]);
    expect(killed, moments.join(', ')).toBe(KILLS.length);
    expect(existsSync(record)).toBe(false);
    expect(puts).toHaveLength(COUNT);
    const outcome = (): number =>
      new Set(proxy.taken.map(({ body }) => body.toString())).size + proxy.dropped.length;
    await expect.poll(outcome, { timeout: 60_000, interval: 100 }).toBe(COUNT);
    return { uploads, lost: proxy.dropped.length };
  }

  /** Of seven uploads two go to keys that were there, one of them at once and with the same bytes. */
  function keyAndBody(i: number): [string, string] {
    if (i % GROUP === 5) return [`in/${i - 1} a+b%.bin`, `of ${i - 1}`];
    if (i % GROUP === 6) return [`in/${Math.floor(i / 2)} a+b%.bin`, `of ${i} again`];
    return [`in/${i} a+b%.bin`, `of ${i}`];
  }
});
