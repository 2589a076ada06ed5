// @ts-check
// The object store of the demo: the MinIO that is there, or one that is started for it, or SeaweedFS.
import { randomBytes } from 'node:crypto';
import { describeClone } from './clone.mjs';
import { atEnd } from './command.mjs';
import { findMinio, isFree, seaweedfsPortsFree, startMinio, startSeaweedfs } from './object-store.mjs';
import { say } from './say.mjs';

/**
 * @typedef {object} DemoStore
 * @property {string} description
 * @property {string} url
 * @property {string} accessKey
 * @property {string} secretKey
 * @property {(key: string, body: Uint8Array) => Promise<void>} put into the first bucket
 * @property {(key: string) => Promise<Buffer>} get from the second
 * @property {(prefix: string) => Promise<string[]>} list the keys of the second
 *
 * @typedef {typeof STORES[number] | undefined} StoreKind absent = MinIO where there is one, else SeaweedFS
 * @typedef {{ url: string, token: string }} Notify where the gateway will take notifications
 */

/** As in config.example.json. */
const IN = 'tappet-in';
export const OUT = 'tappet-out';
/** What `--store` may name. */
export const STORES = /** @type {const} */ (['minio', 'seaweedfs']);
/** Under this name MinIO knows the gateway. */
const TARGET = 'TAPPET';

/**
 * @param {{ kind: StoreKind, port: number, notify: Notify }} wanted `port`: where the configuration looks for it
 * @returns {Promise<DemoStore>}
 */
export async function startDemoStore({ kind, port, notify }) {
  const { server, description, notifies } = await start(await chooseStore(kind), port, notify);
  const store = await openStore(server, description);
  if (notifies) await store.askForNotifications();
  say(`demo: object store: ${description} at ${server.url}`);
  return store;
}

/**
 * @typedef {import('./object-store-programs.mjs').RunningMinio} RunningMinio
 * @typedef {RunningMinio | { kind: 'minio', from: string } | { kind: 'seaweedfs' }} Choice
 */

/**
 * @param {StoreKind} kind
 * @param {typeof findMinio} find
 * @returns {Promise<Choice>}
 */
export async function chooseStore(kind, find = findMinio) {
  if (kind === 'seaweedfs') return { kind };
  const found = await find();
  if (found?.kind === 'running') return found;
  if (found === undefined && kind === undefined) return { kind: 'seaweedfs' };
  return { kind: 'minio', from: found?.from ?? 'built now' };
}

/**
 * @param {Choice} choice
 * @param {number} port
 * @param {Notify} notify
 */
async function start(choice, port, notify) {
  if (choice.kind === 'running') {
    return { server: choice, description: 'the MinIO that runs here, asked every 5 s', notifies: false };
  }
  const keys = { accessKey: randomBytes(8).toString('hex'), secretKey: randomBytes(16).toString('hex') };
  if (choice.kind === 'seaweedfs') {
    const server = await startSeaweedfs({ ...(await portFor(port, seaweedfsPortsFree)), keys });
    atEnd(() => server.stop());
    return { server, description: 'SeaweedFS, asked every 5 s', notifies: false };
  }
  const webhook = [{ id: TARGET, ...notify }];
  const server = await startMinio({ ...(await portFor(port, isFree)), keys, webhook });
  atEnd(() => server.stop());
  return { server, description: `MinIO (${choice.from}), which notifies the gateway`, notifies: true };
}

/**
 * The configured port, else the one of this clone, else any.
 * @param {number} configured
 * @param {(port: number) => Promise<boolean>} free
 * @returns {Promise<{ port?: number }>}
 */
async function portFor(configured, free) {
  for (const port of [configured, describeClone().ports.store]) if (await free(port)) return { port };
  return {};
}

/**
 * The two buckets, made where they are not there.
 * @param {{ url: string, accessKey: string, secretKey: string }} server
 * @param {string} description
 */
async function openStore({ url, accessKey, secretKey }, description) {
  // The SDK would tell Node 20 about its own plans in the midst of the demo.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';
  // Only now: this file is read before the packages are installed.
  const s3 = await import('@aws-sdk/client-s3');
  const client = new s3.S3Client({
    endpoint: url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  for (const Bucket of [IN, OUT]) {
    await client.send(new s3.CreateBucketCommand({ Bucket })).catch((/** @type {Error} */ error) => {
      if (!error.name.startsWith('BucketAlready')) throw error;
    });
  }
  return {
    description,
    url,
    accessKey,
    secretKey,
    async put(/** @type {string} */ Key, /** @type {Uint8Array} */ Body) {
      await client.send(new s3.PutObjectCommand({ Bucket: IN, Key, Body }));
    },
    async get(/** @type {string} */ Key) {
      const { Body } = await client.send(new s3.GetObjectCommand({ Bucket: OUT, Key }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    },
    async list(/** @type {string} */ Prefix) {
      const { Contents = [] } = await client.send(new s3.ListObjectsV2Command({ Bucket: OUT, Prefix }));
      return Contents.map(({ Key = '' }) => Key);
    },
    async askForNotifications() {
      const rule = {
        QueueArn: `arn:minio:sqs::${TARGET}:webhook`,
        Events: [/** @type {const} */ ('s3:ObjectCreated:*')],
      };
      const NotificationConfiguration = { QueueConfigurations: [rule] };
      await client.send(
        new s3.PutBucketNotificationConfigurationCommand({ Bucket: IN, NotificationConfiguration }),
      );
    },
  };
}
