import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { ObjectStoreServer } from '../../scripts/lib/object-store.mjs';
import { startMinio, startSeaweedfs } from '../../scripts/lib/object-store.mjs';

// The SDK would tell Node 20 about its own plans in the midst of the report.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';

/** A real store, started for one test file, with a client of its own: the tests' oracle, not the code they judge. */
export interface TestStore {
  readonly server: ObjectStoreServer;
  readonly client: S3Client;
  /** Makes a bucket with a name that no other test has. */
  bucket(options?: { readonly versioned?: boolean }): Promise<string>;
  put(bucket: string, key: string, body: string | Uint8Array, more?: PutMore): Promise<void>;
  delete(bucket: string, key: string): Promise<void>;
  close(): Promise<void>;
}
interface PutMore {
  readonly contentType?: string;
  readonly metadata?: Record<string, string>;
}

/** A MinIO for a test file: start it in `beforeAll`, `close` it in `afterAll`. */
export async function testMinio(options: Parameters<typeof startMinio>[0] = {}): Promise<TestStore> {
  return testStore(await startMinio(options));
}

export async function testSeaweedfs(): Promise<TestStore> {
  return testStore(await startSeaweedfs());
}

function testStore(server: ObjectStoreServer): TestStore {
  const client = new S3Client({
    endpoint: server.url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  let buckets = 0;
  return {
    server,
    client,
    async bucket({ versioned = false } = {}) {
      const Bucket = `bucket-${++buckets}`;
      await client.send(new CreateBucketCommand({ Bucket }));
      if (versioned) {
        const VersioningConfiguration = { Status: 'Enabled' } as const;
        await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
      }
      return Bucket;
    },
    async put(Bucket, Key, Body, { contentType, metadata } = {}) {
      const more = {
        ...(contentType === undefined ? {} : { ContentType: contentType }),
        ...(metadata === undefined ? {} : { Metadata: metadata }),
      };
      await client.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
    },
    async delete(Bucket, Key) {
      await client.send(new DeleteObjectCommand({ Bucket, Key }));
    },
    async close() {
      client.destroy();
      await server.stop();
    },
  };
}

/** What stands below a prefix, by key; asked by a client of the test's own. */
export async function objectsBelow(
  client: S3Client,
  Bucket: string,
  Prefix: string,
): Promise<Record<string, string | undefined>> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, Prefix }));
  const found = Contents.map(async ({ Key = '' }) => {
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
    return [Key, await Body?.transformToString()] as const;
  });
  return Object.fromEntries(await Promise.all(found));
}
