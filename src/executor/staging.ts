import type { BodyReader, PinnedBody } from '../core/bodies.ts';
import { TappetError } from '../core/errors.ts';
import type { RenderedSpec } from '../core/execution.ts';
import type { JobSpec } from '../core/job.ts';
import type { LocalFiles } from '../core/local-files.ts';
import type { Objects } from '../core/objects.ts';
import type { StagedFile } from '../core/runner.ts';
import type { Secrets } from '../core/secrets.ts';
import {
  addressText,
  INPUT_MODE,
  inputAddress,
  OUTPUT_MODE,
  OUTPUT_PATH,
  SECRET_MODE,
} from '../core/staging.ts';
import type { Address, InputSpec, PinnedObject } from '../core/staging.ts';
import { noting } from './noting.ts';

export interface StagingPorts {
  readonly objects: Objects;
  readonly secrets: Secrets;
  readonly localFiles: LocalFiles;
  readonly bodies: BodyReader;
}

export interface InputsParams extends StagingPorts {
  readonly spec: Pick<JobSpec, 'inputs' | 'output'>;
  readonly rendered: RenderedSpec;
  /** Ends what is being read. */
  readonly signal: AbortSignal;
}

/** The inputs of one attempt on their way into its container. */
export class Inputs {
  readonly #params: InputsParams;
  #failure: unknown;

  constructor(params: InputsParams) {
    this.#params = params;
  }

  get any(): boolean {
    const { inputs = [], output } = this.#params.spec;
    return inputs.length > 0 || output !== undefined;
  }

  /** Whether any of them may take long: a secret does not. */
  get large(): boolean {
    return (this.#params.spec.inputs ?? []).some(({ from }) => typeof from === 'string');
  }

  /** What ended the last `files`, if its own end was an error: whoever reads them may wrap it, or give its own. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Opened one after the other, as they are asked for, anew at each call. */
  async *files(): AsyncGenerator<StagedFile> {
    this.#failure = undefined;
    for (const [i, input] of (this.#params.spec.inputs ?? []).entries()) {
      const { size, body } = await this.#noting(() => this.#open(input, i));
      const mode = input.mode ?? (typeof input.from === 'string' ? INPUT_MODE : SECRET_MODE);
      yield { to: input.to, size, mode, body: this.#whole(input, size, body) };
    }
    if (this.#params.spec.output !== undefined)
      yield { to: OUTPUT_PATH, size: 0, mode: OUTPUT_MODE, body: once(Buffer.alloc(0)) };
  }

  async #open(input: InputSpec, index: number): Promise<Pick<StagedFile, 'size' | 'body'>> {
    const { rendered, secrets } = this.#params;
    const { from, object, file, body } = input;
    if (typeof from !== 'string') {
      const value = Buffer.from((await secrets.resolve(from)).reveal());
      return { size: value.length, body: once(value) };
    }
    if (object !== undefined) return this.#object(object, object);
    if (file !== undefined) return this.#file(file);
    if (body !== undefined) return this.#body(body);
    const parsed = inputAddress(rendered.inputs?.[index] ?? '');
    if (!parsed.ok) throw new TypeError(`input ${index} was not rendered: ${parsed.problem}`);
    return this.#object(parsed.address, {});
  }

  async #object(
    { connection, bucket, key }: Address,
    { versionId, etag }: Partial<PinnedObject>,
  ): Promise<Pick<StagedFile, 'size' | 'body'>> {
    const at = addressText({ connection, bucket, key });
    const store = this.#params.objects.connection(connection);
    if (store === undefined)
      throw unavailable(`There is no connection "${connection}" any more, which ${at} names.`);
    const pins = {
      ...(versionId === undefined ? {} : { versionId }),
      ...(etag === undefined ? {} : { etag }),
    };
    const found = await store.get({ bucket, key, ...pins }, this.#params.signal);
    if (found !== null) return { size: found.info.size, body: found.body };
    throw unavailable(
      etag === undefined
        ? `There is no object ${at}.`
        : `${at} is gone, or not any more the object that the event told of.`,
    );
  }

  async #file(file: NonNullable<InputSpec['file']>): Promise<Pick<StagedFile, 'size' | 'body'>> {
    const opened = await this.#params.localFiles.open(file);
    if (opened === 'gone') throw unavailable(`The file ${file.path} is gone.`);
    if (opened === 'changed')
      throw unavailable(`The file ${file.path} has changed since the event told of it.`);
    return opened;
  }

  async #body(body: PinnedBody): Promise<Pick<StagedFile, 'size' | 'body'>> {
    const opened = await this.#params.bodies.openBody(body);
    const whose = `The body of event ${body.event}`;
    if (opened === 'gone') throw unavailable(`${whose} is gone: it is kept as long as the event.`);
    if (opened === 'changed') throw unavailable(`${whose} is not as large any more as it came in.`);
    return opened;
  }

  /** As announced, or an error: a container must not start with half of a file. */
  async *#whole(input: InputSpec, size: number, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let read = 0;
    for await (const chunk of noting(body, (error) => (this.#failure = error))) {
      read += chunk.length;
      yield chunk;
    }
    if (read === size) return;
    const message = `What was to become ${input.to} ended after ${read} of ${size} bytes.`;
    this.#failure = new TappetError('OBJECT_STORE_UNAVAILABLE', message);
    throw this.#failure;
  }

  async #noting<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}

/** Never leaves the executor: what becomes of it is an attempt's INPUT_UNAVAILABLE. */
const unavailable = (message: string): TappetError => new TappetError('OBJECT_NOT_FOUND', message);

// eslint-disable-next-line @typescript-eslint/require-await -- a port's body is asynchronous
async function* once(chunk: Uint8Array): AsyncGenerator<Uint8Array> {
  yield chunk;
}

/** The variables of a container that are secrets, with their values. Errors: SECRET_UNREADABLE. */
export async function secretEnvironment(
  env: JobSpec['env'],
  secrets: Secrets,
): Promise<Record<string, string>> {
  const values: [string, string][] = [];
  for (const [name, value] of Object.entries(env)) {
    if (typeof value !== 'string') values.push([name, (await secrets.resolve(value)).reveal()]);
  }
  return Object.fromEntries(values);
}
