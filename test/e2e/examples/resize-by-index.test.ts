import { crc32, deflateSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { IN, partOf, RunningExample } from '../../support/example.ts';

/** `npm test -- --full` takes as many as a job may have. */
const FULL = process.env['TAPPET_TEST_FULL'] === '1';
const IMAGES = FULL ? 10_000 : 200;
const LIMIT_MS = FULL ? 10_800_000 : 480_000;

let example: RunningExample;
beforeAll(async () => {
  example = await RunningExample.make('resize-by-index', {
    change: (config) => (partOf(config, 'jobs', 'resize')['taskCount'] = IMAGES),
  });
  await example.gateway.start();
});
afterAll(() => example.close());

/** No two of the images have the same size, so that a mix-up would be seen. */
const sizeOf = (i: number) => ({ width: 2 * (8 + (i % 100)), height: 2 * (8 + Math.floor(i / 100)) });

function png({ width, height }: { width: number; height: number }): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  const pixels = Buffer.alloc((1 + width * 3) * height, 0);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(pixels)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

it(`resizes ${IMAGES} images, the one of its index in each task`, { timeout: LIMIT_MS }, async () => {
  for (let i = 0; i < IMAGES; i++) await example.store.put(IN, `images/${i}.png`, png(sizeOf(i)));
  const started = await example.gateway.api('POST', '/api/v1/jobs/resize:run', {});
  expect(started.status, started.text).toBe(200);
  const ended = await example.gateway.until(
    `/api/v1/executions/${String(started.json()['name'])}`,
    (execution) => (execution['completionTime'] === null ? undefined : execution),
    LIMIT_MS,
  );
  expect(ended).toMatchObject({ state: 'SUCCEEDED', taskCount: IMAGES, succeededCount: IMAGES });
  expect(await example.list('thumbnails/')).toHaveLength(IMAGES);
  for (let i = 0; i < IMAGES; i++) {
    const thumbnail = await example.get(`thumbnails/${i}.png`);
    expect(thumbnail.subarray(1, 4).toString()).toBe('PNG');
    const { width, height } = sizeOf(i);
    expect([i, thumbnail.readUInt32BE(16), thumbnail.readUInt32BE(20)]).toEqual([i, width / 2, height / 2]);
  }
});
