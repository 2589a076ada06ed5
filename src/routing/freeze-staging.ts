import type { PinnedBody } from '../core/bodies.ts';
import type { JobDefinition, TriggerDefinition } from '../core/config.ts';
import { connectionOrigin } from '../core/event.ts';
import type { StoredEvent } from '../core/event.ts';
import type { Root, Scope } from '../core/expression.ts';
import type { JobSpec } from '../core/job.ts';
import type { Json, JsonObject } from '../core/json.ts';
import type { FileIdentity } from '../core/local-files.ts';
import {
  addressTextProblem,
  EVENT_BODY,
  EVENT_FILE,
  EVENT_OBJECT,
  inputAddress,
  isAddress,
  outputAddress,
} from '../core/staging.ts';
import type { InputSpec, OutputSpec, ParsedAddress, PinnedObject } from '../core/staging.ts';
import { literal } from './literal.ts';

/** Inputs and outputs as an execution keeps them. */
export type FrozenStaging = Pick<JobSpec, 'inputs' | 'outputs'>;

/** What a run has to freeze them with. */
export interface StagingRun {
  /** With `task` of index 0; without `event`, `claims` and `trigger` where nothing but a caller started it. */
  readonly scope: Scope;
  readonly cause: { readonly event: StoredEvent; readonly trigger: TriggerDefinition } | null;
  /** Collects what the templates that stay for the attempt read. */
  readonly kept: Set<Root>;
}

/** One place that cannot be frozen; `path` is where it stands in the job. */
export class StagingError extends Error {
  readonly path: string;
  readonly clause: string;
  constructor(path: string, message: string, clause: string) {
    super(message);
    this.name = 'StagingError';
    this.path = path;
    this.clause = clause;
  }
}

/**
 * Renders every address that does not name `task`, tries the others for index 0, and pins the object or file that
 * the event tells of, so that nothing later reads the event. Errors: StagingError.
 */
export function freezeStaging(job: JobDefinition, run: StagingRun): FrozenStaging {
  const { inputs, outputs } = job.spec;
  return {
    ...(inputs === undefined
      ? {}
      : { inputs: inputs.map((input, i) => freezeInput(job, input, `inputs[${i}].from`, run)) }),
    ...(outputs === undefined
      ? {}
      : { outputs: outputs.map((output, i) => freezeOutput(job, output, `outputs[${i}].to`, run)) }),
  };
}

function freezeInput(job: JobDefinition, input: InputSpec, path: string, run: StagingRun): InputSpec {
  const { from } = input;
  if (isAddress(from))
    return { ...input, from: freezeAddress(job, { text: from, path, parse: inputAddress }, run) };
  if (from !== EVENT_OBJECT && from !== EVENT_FILE && from !== EVENT_BODY) return input;
  if (run.cause === null) throw new StagingError(path, withoutEvent(`is ${from}`), from);
  const { event, trigger } = run.cause;
  if (from === EVENT_OBJECT) return { ...input, object: pinObject(event, trigger, path) };
  if (from === EVENT_BODY) return { ...input, body: pinBody(event, trigger, path) };
  return { ...input, file: pinFile(event, trigger, path) };
}

function freezeOutput(job: JobDefinition, output: OutputSpec, path: string, run: StagingRun): OutputSpec {
  const parse = (text: string): ParsedAddress => outputAddress(output.from, text);
  return { ...output, to: freezeAddress(job, { text: output.to, path, parse }, run) };
}

interface Place {
  readonly text: string;
  readonly path: string;
  readonly parse: (rendered: string) => ParsedAddress;
}

function freezeAddress(job: JobDefinition, { text, path, parse }: Place, run: StagingRun): string {
  if (!text.includes('${{')) return text;
  const template = job.addresses?.get(text);
  if (template === undefined) throw new TypeError(`${path} of job ${job.name} was not compiled`);
  const problem = addressTextProblem(text);
  if (problem !== null) throw new StagingError(path, problem, text);
  const absent = template.roots.find((root) => run.scope[root] === undefined);
  if (absent !== undefined) throw new StagingError(path, withoutEvent(`reads \`${absent}\``), text);
  const result = template.render(run.scope);
  if (!result.ok) throw new StagingError(path, result.error, result.clause);
  const parsed = parse(result.value);
  if (!parsed.ok) throw new StagingError(path, parsed.problem, text);
  if (!template.roots.includes('task')) return literal(result.value);
  for (const root of template.roots) run.kept.add(root);
  return text;
}

const withoutEvent = (what: string): string =>
  `${what}, which a run without an event does not have. Fire a trigger that runs this job, by hand if need be`;

/** By who let the event in, never by what it says of itself: a stranger's event must not choose what is read. */
function pinObject({ event, origin }: StoredEvent, trigger: TriggerDefinition, path: string): PinnedObject {
  const { source } = trigger;
  const refuse = (why: string): StagingError => new StagingError(path, why, EVENT_OBJECT);
  if (source.kind !== 'storage')
    throw refuse(`is ${EVENT_OBJECT}, but the event of a ${source.kind} trigger tells of no object`);
  const { connection } = source;
  const { bucket, name: key, etag, generation, updated } = fields(event.data);
  if (typeof bucket !== 'string' || typeof key !== 'string' || key === '' || typeof etag !== 'string')
    throw refuse(`is ${EVENT_OBJECT}, but the event's data has no bucket, name and etag`);
  // One that a person fires by hand says what it likes: it stays within what the trigger listens to.
  const own = origin === connectionOrigin(connection);
  if (!own && (bucket !== source.bucket || !key.startsWith(source.prefix) || !key.endsWith(source.suffix)))
    throw refuse(
      `is ${EVENT_OBJECT}, but the trigger does not listen to s3://${connection}/${bucket}/${key}`,
    );
  // Of an object without versions the time of its writing stands there.
  const written = typeof updated === 'string' ? String(Date.parse(updated)) : '';
  const versioned = typeof generation === 'string' && generation !== written;
  return { connection, bucket, key, ...(versioned ? { versionId: generation } : {}), etag };
}

function pinFile({ event, origin }: StoredEvent, trigger: TriggerDefinition, path: string): FileIdentity {
  const { source } = trigger;
  const refuse = (why: string): StagingError => new StagingError(path, why, EVENT_FILE);
  if (source.kind !== 'files')
    throw refuse(`is ${EVENT_FILE}, but the event of a ${source.kind} trigger tells of no file`);
  const { path: file, ino, size, mtime } = fields(event.data);
  if (
    typeof file !== 'string' ||
    typeof ino !== 'string' ||
    typeof size !== 'number' ||
    typeof mtime !== 'string'
  )
    throw refuse(`is ${EVENT_FILE}, but the event's data has no path, ino, size and mtime`);
  const below = file.startsWith(source.path.endsWith('/') ? source.path : `${source.path}/`);
  if (origin !== trigger.origin && (!below || file.split('/').some((part) => part === '.' || part === '..')))
    throw refuse(`is ${EVENT_FILE}, but the trigger does not watch ${JSON.stringify(file)}`);
  return { path: file, ino, size, mtime };
}

/** A body is found by the event's own uid, which nobody chooses: no event can have that of another. */
function pinBody({ uid, event, origin }: StoredEvent, trigger: TriggerDefinition, path: string): PinnedBody {
  const { source } = trigger;
  const refuse = (why: string): StagingError =>
    new StagingError(path, `is ${EVENT_BODY}, but ${why}`, EVENT_BODY);
  if (source.kind !== 'webhook') throw refuse(`the event of a ${source.kind} trigger came with no body`);
  if (origin !== trigger.origin)
    throw refuse('an event that is fired by hand comes with no body: call the hook');
  const { size } = fields(fields(event.data)['body']);
  if (source.bodyFile === undefined || typeof size !== 'number')
    throw refuse('the body of this event is no file: that takes "body: file" in the source of its trigger');
  return { event: uid, size };
}

const fields = (data: Json | undefined): JsonObject =>
  typeof data === 'object' && data !== null && !Array.isArray(data) ? data : {};
