// A 256 MiB object of a real MinIO into a container: through the product's object store and runner, against the bare
// SDK's download into dockerode's putArchive. Both create the container, put the object into it and start it.
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import Docker from 'dockerode';
import { rolldown } from 'rolldown';
import { pack } from 'tar-stream';
import { startMinio } from '../scripts/lib/object-store.mjs';
import { interleave, median, ROUNDS } from './lib.mjs';

const ROOT = join(import.meta.dirname, '..');
const MIB = 1024 * 1024;
const SIZE = 256 * MIB;
const IMAGE = 'tappet-demo/busybox:1';
const OBJECT = { Bucket: 'bench', Key: 'large' };
const TO = '/in/large';
const COMMAND = ['/bin/true'];
const INSTANCE = 'tappet-bench';

export async function benchStaging() {
  const minio = await startMinio();
  const socketPath = new URL(process.env.DOCKER_HOST).pathname;
  const docker = new Docker({ socketPath });
  const s3 = new S3Client({
    endpoint: minio.url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: minio.accessKey, secretAccessKey: minio.secretKey },
  });
  try {
    await s3.send(new CreateBucketCommand({ Bucket: OBJECT.Bucket }));
    await s3.send(new PutObjectCommand({ ...OBJECT, Body: randomBytes(SIZE) }));
    const { runner, store, close } = await product(minio, socketPath);
    const ours = () => timed(() => oursOnce(runner, store));
    const floor = () => timed(() => floorOnce(docker, s3));
    const results = await interleave(ROUNDS, ours, floor);
    close();
    // The network that the runner made for its jobs.
    await docker.getNetwork(INSTANCE).remove();
    return [
      {
        name: 'staging-256m',
        ours: median(results.ours),
        floor: median(results.floor),
        note: `MiB/s, median of ${ROUNDS}`,
      },
    ];
  } finally {
    s3.destroy();
    await minio.stop();
  }
}

/** MiB a second; `work` gives what removes its container, which is not part of the time. */
async function timed(work) {
  const before = performance.now();
  const remove = await work();
  const seconds = (performance.now() - before) / 1000;
  await remove();
  return SIZE / MIB / seconds;
}

let runs = 0;

async function oursOnce(runner, store) {
  const key = { execution: `run-${runs++}`, index: 0, attempt: 0 };
  const { digest } = await runner.prepare(IMAGE);
  const spec = {
    name: `${INSTANCE}-${key.execution}`,
    key,
    job: 'job',
    epoch: 1,
    image: IMAGE,
    digest,
    command: COMMAND,
    env: {},
    cpu: 1,
    memoryBytes: 64 * MIB,
    gracePeriodMs: 10_000,
    binds: [],
  };
  const files = async function* () {
    const { info, body } = await store.get({ bucket: OBJECT.Bucket, key: OBJECT.Key });
    yield { to: TO, size: info.size, body };
  };
  const ensured = await runner.ensure(spec, NO_LOG, { files });
  return async () => {
    await ensured.captured;
    await runner.remove(spec.name);
  };
}

async function floorOnce(docker, s3) {
  const container = await docker.createContainer({
    Image: IMAGE,
    Entrypoint: COMMAND,
    HostConfig: { NetworkMode: INSTANCE },
  });
  const { Body, ContentLength } = await s3.send(new GetObjectCommand(OBJECT));
  const archive = pack();
  Body.pipe(archive.entry({ name: TO.slice(1), size: ContentLength }, () => archive.finalize()));
  await container.putArchive(archive, { path: '/' });
  await container.start();
  return () => container.remove({ v: true, force: true });
}

const NO_LOG = {
  cursor: () => {
    const start = { bytes: 0, tail: Buffer.alloc(0) };
    return { stdout: start, stderr: start };
  },
  write: async () => undefined,
  close: async () => ({ stdout: 0, stderr: 0 }),
};

/** The product's two ends, from its sources: its bundle is one program without a door to them. */
async function product(minio, socketPath) {
  const dir = join(ROOT, '.tappet', `bench-staging-${process.pid}`);
  const parts = ['runners/docker/docker-runner', 'objects/objects', 'lib/system-clock', 'core/secrets'];
  const build = await rolldown({
    cwd: ROOT,
    input: Object.fromEntries(parts.map((part) => [part, `src/${part}.ts`])),
    platform: 'node',
    external: /^[^./]/,
    logLevel: 'warn',
  });
  await build.write({
    dir,
    format: 'esm',
    entryFileNames: '[name].mjs',
    chunkFileNames: '[name]-[hash].mjs',
  });
  await build.close();
  const [{ DockerRunner }, { createObjects }, { SystemClock }, { SecretValue }] = await Promise.all(
    parts.map((part) => import(join(dir, `${part}.mjs`))),
  );
  const clock = new SystemClock();
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const spec = {
    kind: 's3',
    endpoint: minio.url,
    region: 'us-east-1',
    pathStyle: true,
    pollMs: 60_000,
    accessKeyId: { env: 'accessKey' },
    secretAccessKey: { env: 'secretKey' },
  };
  const secrets = { resolve: async ({ env }) => new SecretValue(minio[env]) };
  const objects = createObjects({ connections: new Map([['store', spec]]), secrets, clock, log });
  const runner = new DockerRunner({
    endpoint: { kind: 'unix', path: socketPath },
    engine: 'bench',
    instance: INSTANCE,
    network: INSTANCE,
    clock,
    log,
  });
  const close = () => {
    objects.close();
    rmSync(dir, { recursive: true });
  };
  return { runner, store: objects.connection('store'), close };
}
