// 1,000 uploads to a real MinIO that notifies of each: until the gateway has run each to its end (event, decision,
// execution, task, log; the container does nothing), against the same uploads told to a bare receiver that stores what
// it was told before it answers, as durably. Both from the first upload to the last one done. MinIO keeps no queue here:
// that one looks every 3 s only, which would be most of what is measured.
//
// MinIO and its clients have one core, whoever is told the others, as where the store is another machine: what is asked is
// whether the gateway keeps up with what MinIO delivers. The same with all cores shared, where MinIO gets less the more
// the gateway does, stands in the note.
import { execFileSync } from 'node:child_process';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  PutBucketNotificationConfigurationCommand,
  PutBucketPolicyCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import Database from 'better-sqlite3';
import { startMinio } from '../scripts/lib/object-store.mjs';
import { interleave, median, scratch, startGateway, startProgram } from './lib.mjs';

const ROUNDS = 5;
const UPLOADS = 1_000;
const AT_A_TIME = 8;
const BODY = Buffer.alloc(1024, 'x');
const TOKEN = 'the-token-of-the-benchmark';
const LOOK_MS = 10;
const GIVE_UP_MS = 120_000;
/**
 * MinIO delivers as many notifications at a time as it thinks it has cores. With two, one call's latency beside
 * MinIO's own load would be all that is measured; a server of eight cores is a usual one.
 */
const CORES = '8';

export async function benchUploads() {
  const { dir, remove } = scratch();
  const floor = await startProgram([join(import.meta.dirname, 'floors/receiver.mjs'), join(dir, 'floor.db')]);
  // MinIO is told the address before the gateway can start, which wants the store to be there.
  const port = await freePort();
  const minio = await startMinio({
    env: { GOMAXPROCS: CORES },
    ownSession: true,
    webhook: [
      { id: 'OURS', url: `http://127.0.0.1:${port}/notify/storage/store`, token: TOKEN },
      { id: 'FLOOR', url: floor.url, token: TOKEN },
    ],
  });
  for (const id of ['OURS', 'FLOOR']) await makeBucket(minio, id);
  const env = { BENCH_TOKEN: TOKEN, BENCH_KEY: minio.accessKey, BENCH_SECRET: minio.secretKey };
  const program = join(import.meta.dirname, '../test/support/no-op-gateway.mjs');
  const gateway = await startGateway(dir, config(minio), env, { program, port });
  const db = new Database(join(gateway.dataDir, 'tappet.db'), { readonly: true });
  const stored = db.prepare('SELECT COUNT(*) AS n FROM executions');
  const succeeded = db.prepare("SELECT COUNT(*) AS n FROM executions WHERE state = 'SUCCEEDED'");
  const measure = () =>
    interleave(
      ROUNDS,
      () => perSecond(minio, 'ours', async () => succeeded.get().n),
      () => perSecond(minio, 'floor', async () => Number(await (await fetch(floor.url)).text())),
    );
  const shared = await measure();
  const [first, ...others] = cpus().keys();
  for (const pid of [minio.pid(), process.pid]) keepTo(pid, [first]);
  for (const pid of [gateway.pid, floor.pid]) keepTo(pid, others);
  const results = await measure();
  keepTo(process.pid, [first, ...others]);
  const rows = stored.get().n;
  db.close();
  await gateway.stop();
  await floor.stop();
  await minio.stop();
  remove();
  const wanted = 2 * UPLOADS * (ROUNDS + 1);
  if (rows !== wanted) throw new Error(`${wanted} uploads became ${rows} executions`);
  const [ours, beside] = [median(shared.ours), median(shared.floor)];
  const note = `uploads a second, median of ${ROUNDS}; with all cores shared ours=${Math.round(ours)} floor=${Math.round(beside)} ratio=${(ours / beside).toFixed(2)}`;
  return [{ name: 'uploads-1000', ours: median(results.ours), floor: median(results.floor), note }];
}

/** All threads of a process, and those that they begin, on these cores only. */
function keepTo(pid, cores) {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', cores.join(), String(pid)]);
}

function config(minio) {
  return {
    connections: {
      store: {
        kind: 's3',
        endpoint: minio.url,
        accessKeyId: { env: 'BENCH_KEY' },
        secretAccessKey: { env: 'BENCH_SECRET' },
        notifications: { token: { env: 'BENCH_TOKEN' }, dialect: 'minio' },
      },
    },
    // Small, so that as many may run at the same time as come.
    jobs: { none: { image: 'none:1', cpu: 0.05 } },
    triggers: {
      up: {
        source: { kind: 'storage', connection: 'store', bucket: 'ours' },
        run: { job: 'none', env: { OBJECT: '${{ event.data.name }}' } },
      },
    },
  };
}

/** A bucket of the name of its webhook that everyone may write to: what signing costs is nobody's part. */
async function makeBucket(minio, id) {
  const s3 = new S3Client({
    endpoint: minio.url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: minio.accessKey, secretAccessKey: minio.secretKey },
  });
  const Bucket = id.toLowerCase();
  await s3.send(new CreateBucketCommand({ Bucket }));
  const statement = {
    Effect: 'Allow',
    Principal: '*',
    Action: 's3:PutObject',
    Resource: `arn:aws:s3:::${Bucket}/*`,
  };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  await s3.send(new PutBucketPolicyCommand({ Bucket, Policy }));
  const rule = { QueueArn: `arn:minio:sqs::${id}:webhook`, Events: ['s3:ObjectCreated:*'] };
  const NotificationConfiguration = { QueueConfigurations: [rule] };
  await s3.send(new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration }));
  s3.destroy();
}

let uploads = 0;

/** `done` tells how many are through, of all rounds. */
async function perSecond(minio, bucket, done) {
  const goal = (await done()) + UPLOADS;
  const agent = new Agent({ keepAlive: true, maxSockets: AT_A_TIME });
  const before = performance.now();
  let left = UPLOADS;
  const uploader = async () => {
    while (left-- > 0) await put(agent, `${minio.url}/${bucket}/object-${uploads++}`);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, uploader));
  while ((await done()) < goal) {
    if (performance.now() - before > GIVE_UP_MS)
      throw new Error(`only ${await done()} of ${goal} are through`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  const seconds = (performance.now() - before) / 1000;
  agent.destroy();
  return UPLOADS / seconds;
}

async function put(agent, url) {
  const call = request(url, { method: 'PUT', agent, headers: { 'content-length': BODY.length } });
  call.end(BODY);
  const [response] = await once(call, 'response');
  response.resume();
  await once(response, 'end');
  if (response.statusCode !== 200) throw new Error(`PUT ${url}: ${response.statusCode}`);
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
