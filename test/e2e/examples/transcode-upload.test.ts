import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeVideo, probe } from '../../../scripts/lib/ffmpeg.mjs';
import { IN, RunningExample } from '../../support/example.ts';

const NAME = 'uploads/a clip, 100% söß+1.mov';
/** A frame, and the little more that an AAC stream needs. */
const TOLERANCE_S = 0.15;

let example: RunningExample;
const dir = mkdtempSync(join(tmpdir(), 'tappet-video-'));
beforeAll(async () => {
  example = await RunningExample.make('transcode-upload');
  await example.gateway.start();
});
afterAll(async () => {
  await example.close();
  rmSync(dir, { recursive: true, force: true });
});

/** What ffprobe says of the picture and the length. */
async function facts(file: string) {
  const { format, streams } = await probe(file);
  const video = streams.find((stream) => stream.codec_type === 'video');
  const audio = streams.find((stream) => stream.codec_type === 'audio');
  return {
    format: format.format_name,
    seconds: Number(format.duration),
    codecs: [video?.codec_name, audio?.codec_name],
    size: [video?.width, video?.height],
  };
}

it('makes an MP4 and an HLS playlist of a video that is uploaded, as long and as large', async () => {
  const input = join(dir, 'input.mov');
  await makeVideo(input, { seconds: 6, width: 320, height: 180 });
  await example.store.put(IN, NAME, readFileSync(input));
  const { execution } = await example.executionOf('transcode-upload');
  expect(execution, await example.log(execution)).toMatchObject({ state: 'SUCCEEDED' });

  const before = await facts(input);
  expect(before).toMatchObject({ codecs: ['mpeg4', 'pcm_s16le'], size: [320, 180] });
  const keys = await example.list('videos/');
  const hls = keys.filter((key) => key.startsWith(`videos/${NAME}.hls/`));
  expect(keys).toEqual([...hls, `videos/${NAME}.mp4`]);
  for (const key of keys) writeFileSync(join(dir, basename(key)), await example.get(key));

  for (const [file, format] of [
    [`${basename(NAME)}.mp4`, 'mov,mp4'],
    ['index.m3u8', 'hls'],
  ] as const) {
    const after = await facts(join(dir, file));
    expect(after.format).toContain(format);
    expect(after.codecs).toEqual(['h264', 'aac']);
    expect(after.size).toEqual(before.size);
    expect(Math.abs(after.seconds - before.seconds), file).toBeLessThan(TOLERANCE_S);
  }
  // Every part of the playlist is there, and nothing else.
  const playlist = readFileSync(join(dir, 'index.m3u8'), 'utf8');
  const parts = playlist.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  expect([...parts, 'index.m3u8'].sort()).toEqual(hls.map((key) => basename(key)).sort());
});

it('fails with ffmpeg’s own words where the upload is no video', async () => {
  await example.store.put(IN, 'uploads/notes.mov', 'this is no video');
  const failed = await example.gateway.until(
    '/api/v1/executions?state=FAILED',
    ({ executions }) => (executions as { name: string; failedCount: number }[])[0],
  );
  expect(await example.log(failed)).toContain('Invalid data found when processing input');
  expect(await example.list('videos/uploads/notes')).toEqual([]);
});
