import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { rootCertificates } from 'node:tls';
import type * as S3 from '@aws-sdk/client-s3';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { S3ConnectionSpec } from '../core/objects.ts';
import type { Secrets } from '../core/secrets.ts';
import { onAbort } from '../lib/service.ts';
import type { Place } from './failures.ts';
import { concernsKeys, storeError, unavailable } from './failures.ts';

export type Sdk = typeof S3;

export interface CallerOptions {
  readonly name: string;
  readonly spec: S3ConnectionSpec;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly log: Log;
}

/** What a call works with. `serverTime`: of an output, the store's clock (its Date header), epoch ms. */
export interface Tools {
  readonly client: S3.S3Client;
  readonly sdk: Sdk;
  readonly signal: AbortSignal;
  readonly serverTime: (output: object) => number;
}
export interface CallOptions {
  readonly bucket: string;
  readonly signal?: AbortSignal | undefined;
  /** For the whole call, the SDK's own repeats included. */
  readonly deadlineMs?: number;
  /** What it sends cannot be sent twice: the keys are looked up before it, not after a refusal. */
  readonly once?: boolean;
}

const CALL_MS = 30_000;
const CONNECT_MS = 5000;
const ATTEMPTS = 3;

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}
interface Open {
  readonly sdk: Sdk;
  readonly client: S3.S3Client;
  readonly keys: Keys;
}
type Agents = { readonly httpAgent: HttpAgent; readonly httpsAgent: HttpsAgent };

/**
 * One connection's way to its store. The SDK is loaded with the first call: most starts of the gateway need none.
 * Keys are resolved with the first call, kept, and looked up anew when the store refuses them.
 */
export class Caller {
  readonly #options: CallerOptions;
  readonly #times = new WeakMap<object, number>();
  #agents: Agents | undefined;
  #open: Promise<Open> | undefined;

  constructor(options: CallerOptions) {
    this.#options = options;
  }

  place(bucket: string): Place {
    const { name, spec } = this.#options;
    return { connection: name, address: spec.endpoint ?? `Amazon S3 in ${spec.region}`, bucket };
  }

  /** Runs `work` under a deadline. What it throws comes out as it is: `storeError` puts it into words. */
  async raw<T>(options: CallOptions, work: (tools: Tools) => Promise<T>): Promise<T> {
    const { signal, deadlineMs = CALL_MS } = options;
    signal?.throwIfAborted();
    const controller = new AbortController();
    const late = (): void => controller.abort(this.#late(options.bucket, deadlineMs));
    const cancel = this.#options.clock.setTimer(deadlineMs, late);
    const forget =
      signal === undefined ? () => undefined : onAbort(signal, () => controller.abort(signal.reason));
    // The SDK's pause between two repeats does not hear of the signal.
    const aborted = new Promise<never>((_, reject) =>
      onAbort(controller.signal, () => reject(controller.signal.reason)),
    );
    const running = this.#withKeys(options, controller.signal, work);
    running.catch(() => undefined);
    try {
      return await Promise.race([aborted, running]);
    } catch (error) {
      throw controller.signal.aborted ? controller.signal.reason : error;
    } finally {
      cancel();
      forget();
    }
  }

  /** `raw` with every error in the port's words. The end of the caller's signal stays its reason. */
  async call<T>(options: CallOptions, work: (tools: Tools) => Promise<T>): Promise<T> {
    try {
      return await this.raw(options, work);
    } catch (error) {
      throw this.worded(error, options);
    }
  }

  /** An error of `raw` in the port's words. */
  worded(error: unknown, { bucket, signal }: CallOptions): unknown {
    return signal?.aborted === true && error === signal.reason
      ? error
      : storeError(error, this.place(bucket));
  }

  /** Ends idle connections now, and each busy one with its call. Calls still work, with a connection each. */
  retire(): void {
    const agents = this.#agents === undefined ? [] : [this.#agents.httpAgent, this.#agents.httpsAgent];
    for (const agent of agents) {
      agent.maxFreeSockets = 0;
      for (const sockets of Object.values(agent.freeSockets)) sockets?.forEach((socket) => socket.destroy());
    }
  }

  close(): void {
    this.#agents?.httpAgent.destroy();
    this.#agents?.httpsAgent.destroy();
  }

  async #withKeys<T>(
    { bucket, once = false }: CallOptions,
    signal: AbortSignal,
    work: (tools: Tools) => Promise<T>,
  ): Promise<T> {
    let open = await this.#opened(bucket);
    if (once) open = await this.#renewed(open);
    try {
      return await work(this.#tools(open, signal));
    } catch (error) {
      if (once || signal.aborted || !concernsKeys(error)) throw error;
      const renewed = await this.#renewed(open);
      if (renewed === open) throw error;
      return await work(this.#tools(renewed, signal));
    }
  }

  #tools({ client, sdk }: Open, signal: AbortSignal): Tools {
    const serverTime = (output: object): number => this.#times.get(output) ?? this.#options.clock.now();
    return { client, sdk, signal, serverTime };
  }

  #opened(bucket: string): Promise<Open> {
    this.#open ??= this.#openAnew(bucket).catch((error: unknown) => {
      // What failed once (a secret, the authority's file) may be there the next time.
      this.#open = undefined;
      throw error;
    });
    return this.#open;
  }

  async #openAnew(bucket: string): Promise<Open> {
    const [sdk, keys, agents] = await Promise.all([
      import('@aws-sdk/client-s3'),
      this.#resolveKeys(),
      this.#agentsFor(bucket),
    ]);
    return { sdk, keys, client: this.#clientFor(sdk, keys, agents) };
  }

  /** The same when the keys are as they were. Requests under way keep their client; the connections are shared. */
  async #renewed(open: Open): Promise<Open> {
    const keys = await this.#resolveKeys();
    const current = await (this.#open ?? open);
    if (sameKeys(current.keys, keys)) return current;
    const agents = this.#agents ?? (await this.#agentsFor(''));
    const renewed = { sdk: open.sdk, keys, client: this.#clientFor(open.sdk, keys, agents) };
    this.#open = Promise.resolve(renewed);
    this.#options.log.info('the keys of an object store have changed; the new ones are used', {
      connection: this.#options.name,
    });
    return renewed;
  }

  async #resolveKeys(): Promise<Keys> {
    const { secrets, spec } = this.#options;
    const [accessKeyId, secretAccessKey, sessionToken] = await Promise.all([
      secrets.resolve(spec.accessKeyId),
      secrets.resolve(spec.secretAccessKey),
      spec.sessionToken === undefined ? undefined : secrets.resolve(spec.sessionToken),
    ]);
    return {
      accessKeyId: accessKeyId.reveal(),
      secretAccessKey: secretAccessKey.reveal(),
      ...(sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() }),
    };
  }

  /** No bound on connections: a queue in here would look like a store that does not answer. Callers bound their work. */
  async #agentsFor(bucket: string): Promise<Agents> {
    const { ca } = this.#options.spec;
    const trusted = ca === undefined ? {} : { ca: [...rootCertificates, await this.#readCa(ca, bucket)] };
    this.#agents ??= {
      httpAgent: new HttpAgent({ keepAlive: true }),
      httpsAgent: new HttpsAgent({ keepAlive: true, ...trusted }),
    };
    return this.#agents;
  }

  async #readCa(file: string, bucket: string): Promise<string> {
    try {
      return await readFile(file, 'utf8');
    } catch (error) {
      const fix = `check "ca" of connections.${this.#options.name}`;
      throw unavailable(this.place(bucket), `cannot be trusted: "${file}" cannot be read`, fix, error);
    }
  }

  #clientFor(sdk: Sdk, keys: Keys, agents: Agents): S3.S3Client {
    const { spec } = this.#options;
    const client = withoutNodeWarning(
      () =>
        new sdk.S3Client({
          region: spec.region,
          ...(spec.endpoint === undefined ? {} : { endpoint: spec.endpoint }),
          forcePathStyle: spec.pathStyle,
          credentials: { ...keys },
          // Sums on by default break streams and older stores; TLS and the ETag are there without them.
          requestChecksumCalculation: 'WHEN_REQUIRED',
          responseChecksumValidation: 'WHEN_REQUIRED',
          maxAttempts: ATTEMPTS,
          retryMode: 'standard',
          requestHandler: { ...agents, connectionTimeout: CONNECT_MS, socketTimeout: 0 },
          logger: SILENT,
          ...FROM_CONFIGURATION_ALONE,
        }),
    );
    client.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        const time = dateOf(result.response);
        if (time !== undefined && result.output !== undefined) this.#times.set(result.output, time);
        return result;
      },
      { step: 'deserialize', priority: 'high', name: 'serverTime' },
    );
    return client;
  }

  #late(bucket: string, ms: number): Error {
    const text = `did not answer for the bucket "${bucket}" within ${ms / 1000} s`;
    return unavailable(this.place(bucket), text, 'it is tried again by itself; is the store overloaded?');
  }
}

/** The SDK would look into the environment and ~/.aws for these. */
const FROM_CONFIGURATION_ALONE = {
  ignoreConfiguredEndpointUrls: true,
  useDualstackEndpoint: false,
  useFipsEndpoint: false,
  useArnRegion: false,
  disableS3ExpressSessionAuth: true,
  defaultsMode: 'standard',
  // With connections of our own the SDK would announce a question and not wait for the answer.
  expectContinueHeader: false,
} as const;

/** What it would tell the console comes out as errors. */
const nothing = (): void => undefined;
const SILENT = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

const WARNING_SWITCH = 'AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED';

/** The SDK tells the users of Node 20 about its own future; they cannot do anything about it. */
function withoutNodeWarning<T>(make: () => T): T {
  const before = process.env[WARNING_SWITCH];
  process.env[WARNING_SWITCH] = 'true';
  try {
    return make();
  } finally {
    if (before === undefined) delete process.env[WARNING_SWITCH];
    else process.env[WARNING_SWITCH] = before;
  }
}

function sameKeys(a: Keys, b: Keys): boolean {
  return (
    a.accessKeyId === b.accessKeyId &&
    a.secretAccessKey === b.secretAccessKey &&
    a.sessionToken === b.sessionToken
  );
}

function dateOf(response: unknown): number | undefined {
  if (typeof response !== 'object' || response === null || !('headers' in response)) return undefined;
  const { headers } = response;
  if (typeof headers !== 'object' || headers === null || !('date' in headers)) return undefined;
  const time = Date.parse(String(headers.date));
  return Number.isNaN(time) ? undefined : time;
}
