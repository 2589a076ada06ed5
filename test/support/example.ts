import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { parse } from 'yaml';
import { ensureImages, exampleImage } from '../../scripts/lib/images.mjs';
import type { Json, JsonObject } from '../../src/core/json.ts';
import { engineHost } from './engine-host.ts';
import { GatewayProcess } from './gateway-process.ts';
import { testMinio } from './minio.ts';
import type { TestStore } from './minio.ts';

const ROOT = join(import.meta.dirname, '../..');
export const IN = 'tappet-in';
export const OUT = 'tappet-out';

/** A file of an example's folder. */
export const exampleFile = (name: string, file: string): Buffer =>
  readFileSync(join(ROOT, 'examples', name, file));
/** The configuration of an example as it is written. */
export const exampleConfig = (name: string): JsonObject =>
  parse(exampleFile(name, 'tappet.yaml').toString()) as JsonObject;

const mapAt = (map: Json | undefined, key: string): Record<string, Json> =>
  (map as Record<string, Record<string, Json>>)[key] ?? {};
/** A part of a configuration, to be changed where it stands. */
export const partOf = (config: JsonObject, ...path: string[]): Record<string, Json> =>
  path.reduce<Record<string, Json>>(mapAt, config as Record<string, Json>);

interface Options {
  /** What must be otherwise for a test: addresses, a schedule. */
  readonly change?: (config: JsonObject) => void;
}

/** An example as it is written, with its image, a MinIO and a gateway of its own. Start it after what it needs. */
export class RunningExample {
  readonly store: TestStore;
  readonly gateway: GatewayProcess;
  readonly dir: string;

  private constructor(parts: Pick<RunningExample, 'store' | 'gateway' | 'dir'>) {
    ({ store: this.store, gateway: this.gateway, dir: this.dir } = parts);
  }

  /** The store is there, with both buckets; the gateway is not started yet. */
  static async make(name: string, { change }: Options = {}): Promise<RunningExample> {
    const host = await engineHost();
    await ensureImages(host, [exampleImage(name)]);
    const store = await testMinio();
    for (const Bucket of [IN, OUT]) await store.client.send(new CreateBucketCommand({ Bucket }));
    const config = exampleConfig(name);
    const connection = partOf(config, 'connections', 'store');
    connection['endpoint'] = store.server.url;
    connection['poll'] = '1s';
    change?.(config);
    const dir = mkdtempSync(join(tmpdir(), `tappet-${name}-`));
    mkdirSync(join(dir, 'inbox'));
    const env = {
      DOCKER_HOST: host,
      S3_ACCESS_KEY: store.server.accessKey,
      S3_SECRET_KEY: store.server.secretKey,
      NOTIFY_TOKEN: 'token-of-the-notifications',
    };
    return new RunningExample({ store, dir, gateway: new GatewayProcess({ dir, config, env }) });
  }

  async get(key: string): Promise<Buffer> {
    const { Body } = await this.store.client.send(new GetObjectCommand({ Bucket: OUT, Key: key }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  }

  async list(prefix: string): Promise<string[]> {
    const keys: string[] = [];
    let token: string | undefined;
    do {
      const page = await this.store.client.send(
        new ListObjectsV2Command({
          Bucket: OUT,
          Prefix: prefix,
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      );
      keys.push(...(page.Contents ?? []).map(({ Key = '' }) => Key));
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return keys;
  }

  /** The first execution of a trigger, once it has ended; `event` is the envelope that caused it. */
  async executionOf(trigger: string): Promise<{ execution: JsonObject; event: JsonObject }> {
    const execution = await this.gateway.until(
      `/api/v1/executions?trigger=${trigger}&pageSize=1000`,
      ({ executions }) => (executions as JsonObject[]).filter((one) => one['completionTime'] !== null).at(-1),
      60_000,
    );
    const uid = String(partOf(execution, 'cause')['event']);
    const detail = (await this.gateway.api('GET', `/api/v1/events/${uid}`)).json();
    return { execution, event: detail['event'] as JsonObject };
  }

  async log(execution: JsonObject): Promise<string> {
    return (await this.gateway.api('GET', `/api/v1/executions/${String(execution['name'])}/tasks/0/logs`))
      .text;
  }

  async close(): Promise<void> {
    await this.gateway.stop();
    await this.store.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
