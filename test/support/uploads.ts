import { createHash } from 'node:crypto';
import { createServer, request as send } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { JsonObject } from '../../src/core/json.ts';
import { TEST_IMAGE } from './engine.ts';
import type { GatewayProcess } from './gateway-process.ts';
import type { TestStore } from './minio.ts';

export const NOTIFY_TOKEN = 'the-token-of-the-store';
const FINALIZED = 'google.cloud.storage.object.v1.finalized';

/** One notification that the store sent. */
export interface Notified {
  readonly bucket: string;
  readonly key: string;
  readonly etag: string;
  readonly versionId: string;
  readonly name: string;
}
export interface NotifyProxy {
  readonly url: string;
  /** Where the gateway is now; it gets another port with each start. */
  target: () => string;
  /** Asked once for each notification; true = the store is told 204 and nobody hears of it. */
  drop: (notified: Notified) => boolean;
  /** What was dropped. */
  readonly dropped: Notified[];
  /** What the gateway answered 204 to, with the request as it came: repeated ones again. */
  readonly taken: {
    readonly notified: Notified;
    readonly headers: IncomingHttpHeaders;
    readonly body: Buffer;
  }[];
  close(): Promise<void>;
}

/** Stands between the store and the gateway at an address that stays, and loses what it is told to lose. */
export async function startNotifyProxy(): Promise<NotifyProxy> {
  const sockets = new Set<Socket>();
  const lost = new Map<string, boolean>();
  const server = createServer((request, response) => {
    void buffer(request).then(async (body) => {
      const record = (JSON.parse(body.toString()) as { Records: [MinioRecord] }).Records[0];
      const id = `${record.responseElements['x-amz-request-id']} ${record.s3.object.key}`;
      const notified = notifiedOf(record);
      const seen = lost.has(id);
      // A repeated one has the fate of the first.
      const drop = lost.get(id) ?? proxy.drop(notified);
      lost.set(id, drop);
      if (drop && !seen) proxy.dropped.push(notified);
      const status = drop ? 204 : await pass(`${proxy.target()}${request.url}`, request.headers, body);
      if (!drop && status === 204) proxy.taken.push({ notified, headers: request.headers, body });
      response.writeHead(status).end();
    });
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: NotifyProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    target: () => '',
    drop: () => false,
    dropped: [],
    taken: [],
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  return proxy;
}

interface MinioRecord {
  readonly eventName: string;
  readonly responseElements: Readonly<Record<string, string>>;
  readonly s3: {
    readonly bucket: { readonly name: string };
    readonly object: { readonly key: string; readonly eTag?: string; readonly versionId?: string };
  };
}

function notifiedOf({ eventName, s3 }: MinioRecord): Notified {
  const { key, eTag = '', versionId = '' } = s3.object;
  const decoded = decodeURIComponent(key.replaceAll('+', ' '));
  return { bucket: s3.bucket.name, key: decoded, etag: eTag, versionId, name: eventName };
}

/** 502 where nobody is there or the answer breaks off: the store keeps the notification. */
function pass(url: string, headers: IncomingHttpHeaders, body: Buffer): Promise<number> {
  if (!URL.canParse(url)) return Promise.resolve(502);
  return new Promise((resolve) => {
    const onward = send(url, { method: 'POST', headers, agent: false }, (answer) => {
      answer.resume();
      answer.once('close', () => resolve(answer.complete ? (answer.statusCode ?? 502) : 502));
    });
    onward.once('error', () => resolve(502));
    onward.end(body);
  });
}

/** Has the store notify of all that happens to a bucket. `target` is the id of a webhook of its. */
export async function notifyOf(store: TestStore, bucket: string, target: string): Promise<void> {
  const QueueArn = `arn:minio:sqs::${target}:webhook`;
  const Events = ['s3:ObjectCreated:*' as const, 's3:ObjectRemoved:*' as const];
  await store.client.send(
    new PutBucketNotificationConfigurationCommand({
      Bucket: bucket,
      NotificationConfiguration: { QueueConfigurations: [{ QueueArn, Events }] },
    }),
  );
}

/** The store's own answer to an upload, and what was uploaded. */
export interface Put {
  readonly key: string;
  readonly etag: string;
  /** '' in a bucket without versions. */
  readonly versionId: string;
  readonly sha256: string;
  readonly size: number;
}
interface PutAnswer {
  readonly ETag?: string | undefined;
  readonly VersionId?: string | undefined;
}

/** Uploads to one bucket, and keeps what the store answered: nothing of it comes from the code under test. */
export class Uploads {
  readonly puts: Put[] = [];
  readonly #store: TestStore;
  readonly bucket: string;

  constructor(store: TestStore, bucket: string) {
    this.#store = store;
    this.bucket = bucket;
  }

  async put(key: string, body: string | Uint8Array, metadata: Record<string, string> = {}): Promise<void> {
    const answer = await this.#store.client.send(
      new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: body, Metadata: metadata }),
    );
    this.#keep(key, answer, answer.VersionId, Buffer.from(body));
  }

  async multipart(key: string, parts: readonly Uint8Array[]): Promise<void> {
    const { client } = this.#store;
    const at = { Bucket: this.bucket, Key: key };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(at));
    const Parts = [];
    for (const [i, Body] of parts.entries()) {
      const PartNumber = i + 1;
      const { ETag } = await client.send(new UploadPartCommand({ ...at, UploadId, PartNumber, Body }));
      Parts.push({ PartNumber, ETag });
    }
    const answer = await client.send(
      new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } }),
    );
    this.#keep(key, answer, answer.VersionId, Buffer.concat(parts));
  }

  /** `body` is what stands at `from`. */
  async copy(from: string, key: string, body: string): Promise<void> {
    const CopySource = `${this.bucket}/${from.split('/').map(encodeURIComponent).join('/')}`;
    const answer = await this.#store.client.send(
      new CopyObjectCommand({ Bucket: this.bucket, Key: key, CopySource }),
    );
    this.#keep(key, answer.CopyObjectResult ?? {}, answer.VersionId, Buffer.from(body));
  }

  /** Sorted; what the store itself says now. */
  async listedVersions(): Promise<string[]> {
    const { Versions = [], IsTruncated } = await this.#store.client.send(
      new ListObjectVersionsCommand({ Bucket: this.bucket }),
    );
    if (IsTruncated === true) throw new Error('more versions than a page');
    return Versions.map(({ VersionId = '' }) => VersionId).sort();
  }

  async listedObjects(): Promise<Pick<Handled, 'key' | 'etag' | 'generation'>[]> {
    const { Contents = [], IsTruncated } = await this.#store.client.send(
      new ListObjectsV2Command({ Bucket: this.bucket }),
    );
    if (IsTruncated === true) throw new Error('more objects than a page');
    return Contents.map(({ Key: key = '', ETag = '', LastModified }) => {
      return { key, etag: ETag.replaceAll('"', ''), generation: String(LastModified?.getTime()) };
    });
  }

  #keep(key: string, { ETag = '' }: PutAnswer, versionId: string | undefined, body: Buffer): void {
    const sha256 = createHash('sha256').update(body).digest('hex');
    const etag = ETag.replaceAll('"', '');
    this.puts.push({ key, etag, versionId: versionId ?? '', sha256, size: body.length });
  }
}

/** One upload that the gateway made an event of, by its API alone. */
export interface Handled {
  readonly key: string;
  readonly etag: string;
  readonly generation: string;
  readonly size: number;
  readonly executions: readonly JsonObject[];
}

/** The uploads to a bucket that the gateway has events of, each with the executions that it caused. */
export async function handled(gateway: GatewayProcess, bucket: string): Promise<Handled[]> {
  const caused = new Map<string, JsonObject[]>();
  for (const execution of await gateway.list('/api/v1/executions', 'executions')) {
    const event = String((execution['cause'] as JsonObject)['event']);
    caused.set(event, [...(caused.get(event) ?? []), execution]);
  }
  const found: Handled[] = [];
  for (const { uid } of await gateway.list(`/api/v1/events?type=${FINALIZED}`, 'events')) {
    const detail = (await gateway.api('GET', `/api/v1/events/${String(uid)}`)).json();
    const data = (detail['event'] as { data: Readonly<Record<string, string>> }).data;
    if (data['bucket'] !== bucket) continue;
    const { name: key = '', etag = '', generation = '' } = data;
    const executions = caused.get(String(uid)) ?? [];
    found.push({ key, etag, generation, size: Number(data['size']), executions });
  }
  return found;
}

/** How often each thing is there, by its text. */
export function countOf<T>(items: readonly T[], text: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(text(item), (counts.get(text(item)) ?? 0) + 1);
  return counts;
}

export interface UploadsConfig {
  readonly triggers: Readonly<
    Record<string, Partial<Record<'connection' | 'bucket' | 'prefix' | 'existing' | 'job', string>>>
  >;
  /** Beside `store`, which takes the notifications; what is not said is as in it. */
  readonly connections?: Readonly<Record<string, JsonObject>>;
}

/** Job `wait` is for a gateway without an engine; `read` writes the key and the sum of what stands in its input. */
export function uploadsConfig(
  { server }: TestStore,
  { poll, triggers, connections = {} }: UploadsConfig & { readonly poll: string },
): JsonObject {
  const keys = { accessKeyId: { env: 'S3_KEY' }, secretAccessKey: { env: 'S3_SECRET' } };
  const connection = { kind: 's3', endpoint: server.url, ...keys, poll };
  const notifications = { token: { env: 'NOTIFY_TOKEN' }, dialect: 'minio' };
  const others = Object.entries(connections).map(([name, more]) => [name, { ...connection, ...more }]);
  const read = {
    image: TEST_IMAGE,
    command: ['/bin/sh', '-c', 'printf "%s\\n" "$OBJECT"; sha256sum < "/in/the object"'],
    inputs: [{ from: 'event.object', to: '/in/the object' }],
    memory: '64Mi',
    timeout: '1m',
  };
  const all = Object.entries(triggers).map(([name, { job = 'wait', ...place }]) => {
    const source = { kind: 'storage', connection: 'store', ...place };
    return [name, { source, run: { job, env: { OBJECT: '${{ event.data.name }}' } } }];
  });
  return {
    connections: { store: { ...connection, notifications }, ...Object.fromEntries(others) },
    jobs: { wait: { image: 'none' }, read },
    triggers: Object.fromEntries(all),
  };
}

/** What the secrets of `uploadsConfig` are. */
export const envOf = ({ server }: TestStore): Record<string, string> => ({
  NOTIFY_TOKEN,
  S3_KEY: server.accessKey,
  S3_SECRET: server.secretKey,
});
