// @ts-check
// Images without a registry: one static busybox in a tar, given to the engine as it is, and the examples' on top of it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { callEngine, pingEngine } from './engine-api.mjs';
import { ensureFfmpeg } from './ffmpeg.mjs';
import { psqlFiles } from './postgres.mjs';
import { SetupError, root, step } from './say.mjs';

/** What the images of the examples begin with. */
export const DEMO_IMAGE = 'tappet-demo/busybox:1';

/**
 * The image of an example: what the Dockerfile in its folder makes.
 * @param {string} example
 */
export const exampleImage = (example) => `tappet-demo/${example}:1`;

const BUSYBOX = ['/bin/busybox', '/usr/bin/busybox', '/bin/busybox.static'];
const LABEL = 'io.tappet.content';

/**
 * @typedef {{ name: string, mode: number, type: '0' | '2' | '5', body?: Buffer, link?: string }} Entry
 */

/**
 * A ustar archive; every time is 0 and every owner root, so that the same input gives the same bytes.
 * @param {readonly Entry[]} entries names without a leading slash, folders before what lies in them
 */
export function makeTar(entries) {
  const blocks = entries.flatMap(({ name, mode, type, body = Buffer.alloc(0), link = '' }) => {
    const header = Buffer.alloc(512);
    const octal = (/** @type {number} */ value, /** @type {number} */ width) =>
      value.toString(8).padStart(width, '0');
    header.write(name, 0, 100);
    header.write(`${octal(mode, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0`, 100);
    header.write(`${octal(body.length, 11)}\0${octal(0, 11)}\0        ${type}${link}`, 124);
    header.write('ustar\x0000root', 257);
    header.write('root', 297);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${octal(sum, 6)}\0 `, 148);
    return [header, body, Buffer.alloc((512 - (body.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/**
 * The root of the image: busybox, a link per tool, /tmp for everyone, root and nobody.
 * @param {Buffer} busybox
 * @param {readonly string[]} applets
 */
export function busyboxTar(busybox, applets) {
  /** @type {(name: string, mode?: number) => Entry} */
  const folder = (name, mode = 0o755) => ({ name: `${name}/`, mode, type: '5' });
  /** @type {(name: string, text: string) => Entry} */
  const file = (name, text) => ({ name, mode: 0o644, type: '0', body: Buffer.from(text) });
  /** @type {(name: string, to: string) => Entry} */
  const link = (name, to) => ({ name, mode: 0o777, type: '2', link: to });
  return makeTar([
    ...['bin', 'etc', 'root', 'dev', 'proc', 'sys', 'var', 'usr'].map((name) => folder(name)),
    folder('usr/bin'),
    folder('tmp', 0o1777),
    folder('var/tmp', 0o1777),
    file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n'),
    file('etc/group', 'root:x:0:\nnogroup:x:65534:\n'),
    { name: 'bin/busybox', mode: 0o755, type: '0', body: busybox },
    ...applets.map((name) => link(`bin/${name}`, 'busybox')),
    link('usr/bin/env', '/bin/busybox'),
  ]);
}

/**
 * Makes these images where they are missing or were made from something else: the demo's own, and those of examples.
 * @param {string} dockerHost
 * @param {readonly string[]} images `name:tag`
 */
export async function ensureImages(dockerHost, images) {
  const version = await pingEngine(dockerHost);
  if (version === undefined) throw new SetupError(`The container engine at ${dockerHost} does not answer.`);
  if (images.length === 0) return;
  const source = readBusybox();
  if (source === undefined) await pullInstead(dockerHost, version, DEMO_IMAGE);
  else await importImage(dockerHost, version, DEMO_IMAGE, source);
  for (const image of images) {
    if (image === DEMO_IMAGE) continue;
    await buildImage({
      dockerHost,
      version,
      image,
      context: await buildContext(image),
      base: source?.hash ?? '',
    });
  }
}

/**
 * The files that are not in the folder of an example: too large, and not ours.
 * @type {Readonly<Record<string, () => Promise<Buffer>>>}
 */
const MADE = {
  ffmpeg: async () => readFileSync((await ensureFfmpeg()).ffmpeg),
  'psql.tar': async () => makeTar(await psqlFiles()),
};

/**
 * What the engine needs to follow an example's Dockerfile: the file, and what it copies.
 * @param {string} image
 * @returns {Promise<Buffer>}
 */
async function buildContext(image) {
  const folder = join(root, 'examples', split(image).repo.replace(/^.*\//, ''));
  const recipe = readFileSync(join(folder, 'Dockerfile'), 'utf8');
  const names = [...recipe.matchAll(/^(?:COPY|ADD) (\S+) \S+$/gm)].map(([, name = '']) => name);
  const files = await Promise.all(
    names.map(async (name) => ({ name, body: (await MADE[name]?.()) ?? readFileSync(join(folder, name)) })),
  );
  return makeTar(
    [{ name: 'Dockerfile', body: Buffer.from(recipe) }, ...files].map((file) => ({
      ...file,
      type: '0',
      mode: 0o755,
    })),
  );
}

/**
 * @param {{ dockerHost: string, version: string, image: string, context: Buffer, base: string }} build
 */
async function buildImage({ dockerHost, version, image, context, base }) {
  const hash = createHash('sha256').update(base).update(context).digest('hex').slice(0, 16);
  const present = await callEngine(dockerHost, `${version}/images/${image}/json`);
  if (present.status === 200 && JSON.parse(present.text).Config?.Labels?.[LABEL] === hash) return;
  await step(`making the image ${image} from its Dockerfile`, async () => {
    const query = new URLSearchParams({ t: image, labels: JSON.stringify({ [LABEL]: hash }), rm: '1' });
    const answer = await callEngine(dockerHost, `${version}/build?${query.toString()}`, {
      method: 'POST',
      body: context,
      timeoutMs: 300_000,
    });
    if (answer.status === 200 && !answer.text.includes('"errorDetail"')) return;
    throw new SetupError(`The engine could not make the image ${image}: ${answer.text.trim()}`);
  });
}

/**
 * @param {string} dockerHost
 * @param {string} version
 * @param {string} image
 * @param {{ tar: Buffer, hash: string }} source
 */
async function importImage(dockerHost, version, image, { tar, hash }) {
  const present = await callEngine(dockerHost, `${version}/images/${image}/json`);
  if (present.status === 200 && JSON.parse(present.text).Config?.Labels?.[LABEL] === hash) return;
  await step(`making the image ${image} from this machine's static busybox`, async () => {
    const query = new URLSearchParams({ fromSrc: '-', ...split(image) });
    for (const change of [`LABEL ${LABEL}=${hash}`, 'CMD ["/bin/sh"]', 'ENV PATH=/bin:/usr/bin']) {
      query.append('changes', change);
    }
    const answer = await callEngine(dockerHost, `${version}/images/create?${query.toString()}`, {
      method: 'POST',
      body: tar,
    });
    if (answer.status !== 200 || answer.text.includes('"error"')) {
      throw new SetupError(`The engine refused the image ${image}: ${answer.text.trim()}`);
    }
  });
}

/**
 * Machines without a static busybox (macOS, say) have a registry in reach, or this fails with the reason.
 * @param {string} dockerHost
 * @param {string} version
 * @param {string} image
 */
async function pullInstead(dockerHost, version, image) {
  const present = await callEngine(dockerHost, `${version}/images/${image}/json`);
  if (present.status === 200) return;
  await step(`pulling busybox as ${image}`, async () => {
    const pull = `${version}/images/create?fromImage=docker.io/library/busybox&tag=stable-musl`;
    await callEngine(dockerHost, pull, { method: 'POST', timeoutMs: 600_000 });
    const { repo, tag } = split(image);
    const name = `${version}/images/busybox:stable-musl/tag?repo=${repo}&tag=${tag}`;
    const answer = await callEngine(dockerHost, name, { method: 'POST' });
    if (answer.status === 201) return;
    throw new SetupError(
      `No static busybox here to make ${image} from, and busybox could not be pulled: ${answer.text.trim()}\n` +
        'On Debian or Ubuntu: apt-get install busybox-static',
    );
  });
}

/** @param {string} image */
function split(image) {
  const colon = image.lastIndexOf(':');
  return { repo: image.slice(0, colon), tag: image.slice(colon + 1) };
}

/** @returns {{ tar: Buffer, hash: string } | undefined} */
function readBusybox() {
  for (const path of BUSYBOX) {
    try {
      const binary = readFileSync(path);
      // A dynamic one names its loader and would not start in an empty root.
      if (binary.subarray(0, 4096).includes('/ld-')) continue;
      const listed = spawnSync(path, ['--list'], { encoding: 'utf8' }).stdout.trim().split('\n');
      const tar = busyboxTar(
        binary,
        listed.filter((name) => /^[\w.[-]+$/.test(name) && name !== 'busybox').sort(),
      );
      return { tar, hash: createHash('sha256').update(tar).digest('hex').slice(0, 16) };
    } catch {
      continue;
    }
  }
  return undefined;
}
