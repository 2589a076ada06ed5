import { z } from 'zod';
import { ADMISSION_DEFAULTS } from '../core/admission.ts';
import {
  JOB_DEFAULTS,
  JOB_RANGES,
  LIMIT_DEFAULTS,
  MIB,
  PULL_POLICIES,
  RETRY_DEFAULTS,
  RETRY_REASONS,
} from '../core/job.ts';
import { formatDuration } from '../lib/duration.ts';
import { parseImageRef } from '../lib/image-ref.ts';
import { unitMissing } from '../lib/issue-text.ts';
import { suggest } from '../lib/nearest.ts';
import { formatSize } from '../lib/size.ts';
import { strictObject } from '../lib/strict-object.ts';
import { SECRET_FORMS, secretRef } from '../lib/secret-ref.ts';
import { duration, size } from '../lib/unit-fields.ts';
import { s3ConnectionSchema } from '../objects/config.ts';
import { schema as cronSource } from '../../triggers/cron/config.ts';
import { schema as filesSource } from '../../triggers/files/config.ts';
import { schema as storageSource } from '../../triggers/storage/config.ts';
import { schema as webhookSource } from '../../triggers/webhook/config.ts';
import { labels, NAME_PATTERN, text } from './fields.ts';
import { callSettings } from './call-settings.ts';
import { engineSettings } from './engine-settings.ts';
import { imageSettings } from './image-settings.ts';
import { notifySchema, receiverSchema } from './notify-settings.ts';

/** What stands in `from` of an input, for messages. */
export const INPUT_RULE = `must be "event.object", "event.file", "event.body", an address s3://<connection>/<bucket>/<key>, or where a secret stands: ${SECRET_FORMS}`;
/** Of inputs, and of outputs: each is a row's part, and a call to the store or the engine. */
export const MAX_STAGED = 100;

const DAY = 24 * 60 * 60 * 1000;
const range = (bounds: { min: number; max: number }, field: z.ZodNumber): z.ZodNumber =>
  field.min(bounds.min).max(bounds.max);

export const limitsSchema = strictObject({
  maxTasks: range({ min: 1, max: 1_000_000 }, z.int())
    .default(LIMIT_DEFAULTS.maxTasks)
    .describe('Highest taskCount.'),
  maxParallelism: range({ min: 1, max: 10_000 }, z.int())
    .default(LIMIT_DEFAULTS.maxParallelism)
    .describe('Highest parallelism.'),
});

const admissionSchema = strictObject({
  cpuOvercommit: range({ min: 0.1, max: 1000 }, z.number())
    .default(ADMISSION_DEFAULTS.cpuOvercommit)
    .describe('How many times the cores of the host are given out: "cpu" of all tasks together.'),
  memoryReserve: size({ min: 0, max: JOB_RANGES.memoryBytes.max })
    .prefault(formatSize(ADMISSION_DEFAULTS.memoryReserveBytes))
    .describe(
      'Memory of the host that tasks leave free; the rest is given out once: "memory" of all tasks together.',
    ),
});

export const serverSchema = strictObject({
  host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address to listen on; 0.0.0.0 is every address of the machine.'),
  port: range({ min: 0, max: 65_535 }, z.int()).default(8080).describe('0 is any free port.'),
  dataDir: z
    .string()
    .min(1)
    .default('.tappet')
    .describe('Folder of the database, the logs and the token; relative to the configuration.'),
  maxBody: size({ min: 1024, max: 64 * MIB })
    .prefault('1Mi')
    .describe('Largest body of a request.'),
  ...callSettings,
  maxRunningTasks: range({ min: 1, max: 10_000 }, z.int())
    .optional()
    .describe('Containers that run at the same time; absent = as many as the host has room for.'),
  admission: admissionSchema
    .prefault({})
    .describe('What of the host of the container engine is given out to tasks.'),
  limits: limitsSchema.prefault({}).describe('What a job may ask for at most.'),
  allowedBinds: z
    .array(z.string())
    .default([])
    .describe('Host folders (absolute) below which jobs may bind folders.'),
  eventRetention: duration({ min: DAY, max: 3650 * DAY })
    .prefault('30d')
    .describe('How long decided events are kept.'),
  engine: engineSettings,
  ...imageSettings,
  notify: notifySchema
    .optional()
    .describe('Who is told of the executions of every job that does not say otherwise.'),
}).describe('Settings of the gateway itself.');

const volume = strictObject({
  bind: z.string().describe('Folder of the host (absolute), below one of server.allowedBinds.'),
  to: z
    .string()
    .startsWith('/', 'must be an absolute path in the container')
    .describe('Where it stands in the container.'),
  readOnly: z.boolean().default(true),
});

const envValue = z
  .union([z.string(), z.number(), z.boolean(), secretRef], {
    error: ({ input }) =>
      `must be a text, or where a secret stands: ${SECRET_FORMS}${input === null ? '; nothing stands there' : ''}`,
  })
  .transform((value) => (typeof value === 'object' ? value : String(value)));

const FILE_MODE = 'must be three or four octal digits in quotes, such as "0644"';

const inputFile = strictObject({
  from: z
    .union([z.string(), secretRef], { error: () => INPUT_RULE })
    .describe(
      '"event.object" or "event.file" (what the event tells of), "event.body" (what a call brought), "s3://connection/bucket/key", or where a secret stands. The key may hold ${{ event.data.name }} and ${{ task.index }}.',
    ),
  to: z.string().describe('Where the file stands in the container (absolute).'),
  mode: z
    .string({ error: ({ input: given }) => (given === undefined ? undefined : FILE_MODE) })
    .regex(/^0?[0-7]{3}$/, FILE_MODE)
    .transform((digits) => Number.parseInt(digits, 8))
    .optional()
    .describe(
      'Permissions, as in chmod: "0644" unless said otherwise, "0444" of a secret. The owner is root.',
    ),
}).transform(({ mode, ...rest }) => ({ ...rest, ...(mode === undefined ? {} : { mode }) }));

const outputFile = strictObject({
  from: z
    .string()
    .describe('A file in the container (absolute), or with / at its end all files of a folder.'),
  to: z
    .string()
    .describe(
      '"s3://connection/bucket/key"; with / at its end (of a folder: always) what the key starts with. The key may hold ${{ }}, as in inputs.',
    ),
  contentType: z
    .string()
    .regex(/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+ *(;[\x20-\x7e]*)?$/, 'must be a media type such as "video/mp4"')
    .optional()
    .describe('Media type of the objects; by the end of the name unless said.'),
}).transform(({ contentType, ...rest }) => ({
  ...rest,
  ...(contentType === undefined ? {} : { contentType }),
}));

const exitCodes = z
  .array(range({ min: 1, max: 255 }, z.int()))
  .min(1)
  .optional();
const retryPause = (ms: number) => duration(JOB_RANGES.retryPauseMs).prefault(formatDuration(ms));

const retry = strictObject({
  backoff: z
    .enum(['none', 'constant', 'exponential'])
    .default(RETRY_DEFAULTS.backoff)
    .describe(
      'none: a retry at once. constant: after "initial". exponential: that times "factor" each time.',
    ),
  initial: retryPause(RETRY_DEFAULTS.initialMs).describe('Pause before the first retry.'),
  factor: range(JOB_RANGES.retryFactor, z.number()).default(RETRY_DEFAULTS.factor),
  max: retryPause(RETRY_DEFAULTS.maxMs).describe('Longest pause.'),
  jitter: z
    .enum(['none', 'full'])
    .optional()
    .describe(
      'full (unless said otherwise): somewhere between no pause and the whole one, so that tasks do not come back together.',
    ),
  onExitCodes: exitCodes.describe('Only these exit codes are tried again.'),
  notOnExitCodes: exitCodes.describe('These exit codes are never tried again.'),
  onReasons: z
    .array(z.enum(RETRY_REASONS))
    .min(1)
    .optional()
    .describe('Only attempts that ended for these reasons are tried again.'),
});

const IMAGE_RULE = 'must be the name of an image in lower-case letters, such as "alpine:3.20"';

export const jobSchema = strictObject({
  image: z
    .string()
    // For editors; the rule itself says more than a pattern can.
    .regex(/^[A-Za-z0-9][^\s]*$/, { message: IMAGE_RULE, abort: true })
    .refine((image) => parseImageRef(image) !== null, IMAGE_RULE)
    .describe('Image to run, such as "ffmpeg:7".'),
  pullPolicy: z
    .enum(PULL_POLICIES)
    .optional()
    .describe(
      'When the engine asks the registry: where it has no such image, at each execution, or never. Absent: IfNotPresent; of the tag latest, or without one, the newest that can be had.',
    ),
  command: z.array(text).min(1).optional().describe("Replaces the image's entry point."),
  args: z
    .array(text)
    .optional()
    .describe('Arguments; may hold ${{ task.index }}, ${{ task.count }} and ${{ task.attempt }}.'),
  env: z
    .record(z.string(), envValue)
    .default({})
    .describe(
      'Environment variables: texts, which may hold ${{ task.index }} and friends, or where secrets stand.',
    ),
  workingDir: z.string().startsWith('/', 'must be an absolute path in the container').optional(),
  user: z
    .string()
    .regex(/^[A-Za-z0-9_][\w.-]*(:[\w.-]+)?$/, 'must be uid, uid:gid or a name')
    .optional()
    .describe('uid[:gid] or a name in the image.'),
  cpu: range(JOB_RANGES.cpu, z.number()).default(JOB_DEFAULTS.cpu).describe('Cores per task.'),
  memory: size(JOB_RANGES.memoryBytes)
    .prefault(formatSize(JOB_DEFAULTS.memoryBytes))
    .describe('Memory per task, such as "512Mi".'),
  taskCount: z.int().min(1).default(JOB_DEFAULTS.taskCount).describe('Tasks of one execution.'),
  parallelism: z
    .int()
    .min(0)
    .default(JOB_DEFAULTS.parallelism)
    .describe('Tasks that run at the same time; 0 = as many as there is room for.'),
  maxRetries: range(JOB_RANGES.maxRetries, z.int())
    .default(JOB_DEFAULTS.maxRetries)
    .describe('Retries per task.'),
  retry: retry
    .optional()
    .describe('Which attempts are tried again, and after which pause; absent: each, at once.'),
  failFast: z
    .boolean()
    .optional()
    .describe('After the first failed task the others are cancelled: the same as maxFailedTasks 0.'),
  maxFailedTasks: z
    .int()
    .min(0)
    .optional()
    .describe('After more failed tasks than this the others are cancelled, and the execution has failed.'),
  deadline: duration(JOB_RANGES.deadlineMs)
    .optional()
    .describe('For the whole execution, from its creation; what is not done by then is cancelled.'),
  timeout: duration(JOB_RANGES.timeoutMs)
    .prefault(formatDuration(JOB_DEFAULTS.timeoutMs))
    .describe('Per attempt, from the start of the container.'),
  gracePeriod: duration(JOB_RANGES.gracePeriodMs)
    .prefault(formatDuration(JOB_DEFAULTS.gracePeriodMs))
    .describe('Between SIGTERM and SIGKILL.'),
  retention: duration({ min: JOB_RANGES.retentionDays.min * DAY, max: JOB_RANGES.retentionDays.max * DAY })
    .prefault(formatDuration(JOB_DEFAULTS.retentionMs))
    .describe('How long ended executions are kept: 1 to 365 days.'),
  retentionCount: range(JOB_RANGES.retentionCount, z.int())
    .optional()
    .describe('How many ended executions are kept at most, the newest; absent = any number.'),
  maxConcurrentExecutions: range(JOB_RANGES.maxConcurrentExecutions, z.int())
    .optional()
    .describe(
      'Executions of the job at the same time; others wait their turn, the oldest first. Absent = any number.',
    ),
  maxLogBytes: size(JOB_RANGES.maxLogBytes)
    .optional()
    .describe(
      'Room for the log of one attempt, "100Mi" unless said; of a longer one, beginning and end are kept.',
    ),
  volumes: z.array(volume).default([]).describe('Folders of the host in the container.'),
  inputs: z
    .array(inputFile)
    .max(MAX_STAGED)
    .default([])
    .describe('Files that are put into the container before it starts.'),
  outputs: z
    .array(outputFile)
    .max(MAX_STAGED)
    .default([])
    .describe('Files that are taken out of it after exit code 0 and stored as objects.'),
  output: z
    .enum(['text', 'json'])
    .optional()
    .describe(
      'Whatever a task writes to the file that TAPPET_OUTPUT names (64 KiB at most) is its output, for the API and for callers that wait; absent: there is none.',
    ),
  notify: notifySchema.optional(),
  labels,
  annotations: labels,
}).describe('What to run.');

const runSchema = strictObject({
  job: z.string().describe('A name under "jobs".'),
  env: z
    .record(z.string(), text)
    .default({})
    .describe('The only variables that an event sets; values may hold ${{ event.data.name }}.'),
  args: z.array(text).optional().describe("Replaces the job's arguments."),
  taskCount: z.union([z.int(), z.string()]).optional(),
  timeout: z.string({ error: unitMissing }).optional(),
}).describe('The job to run, and how the event changes it.');

/** Every kind of source, by its own `config.ts`. */
export const KINDS: readonly string[] = ['cron', 'webhook', 'storage', 'files'];
const sourceSchema = z.discriminatedUnion('kind', [cronSource, webhookSource, storageSource, filesSource], {
  error: ({ code, input }) => (code === 'invalid_union' ? kindMessage(input) : undefined),
});

function kindMessage(source: unknown): string {
  const kind = typeof source === 'object' && source !== null && 'kind' in source ? source.kind : undefined;
  if (typeof kind !== 'string') return `needs a "kind": ${KINDS.slice(0, -1).join(', ')} or ${KINDS.at(-1)}`;
  return `there is no kind of source "${kind}": ${suggest(kind, KINDS)}`;
}

export const triggerSchema = strictObject({
  source: sourceSchema.describe('What lets events in.'),
  when: z
    .string()
    .optional()
    .describe('CEL over event, claims and trigger; the job runs where it is true: "event.data.size > 0".'),
  run: runSchema,
  labels,
  annotations: labels,
}).describe('What runs when.');

const httpUrl = z.string().regex(/^https?:\/\/[^\s#]+$/, 'must be an address that begins with https://');

export const issuerSchema = strictObject({
  preset: z
    .enum(['google', 'github-actions', 'kubernetes', 'generic'])
    .optional()
    .describe(
      'Whose tokens these are: fills in what is known of them, and offers their claims by name. Default: generic.',
    ),
  issuer: httpUrl.optional().describe('Must equal the iss of its tokens to the letter.'),
  jwks: z
    .union([httpUrl, strictObject({ keys: z.array(z.record(z.string(), z.json())).min(1) })], {
      error: () => 'must be an address, or { "keys": [ … ] } with public keys',
    })
    .optional()
    .describe('Address of the keys, or the keys themselves; absent = by discovery.'),
  algorithms: z
    .array(z.string())
    .min(1)
    .optional()
    .describe("Default: RS256, PS256, ES256, EdDSA, or the preset's."),
  clockSkew: duration({ min: 0, max: 300_000 })
    .prefault('30s')
    .describe('Allowed difference between clocks.'),
  maxLifetime: duration({ min: 60_000, max: 30 * DAY })
    .prefault('24h')
    .describe('Longest accepted lifetime of a token.'),
  maxKeyAge: duration({ min: 10 * 60_000, max: 30 * DAY })
    .prefault('24h')
    .describe('How long known keys go on while the issuer cannot be reached.'),
  allowHttp: z
    .boolean()
    .default(false)
    .describe('Allow http:// for discovery and keys: loopback and closed networks only.'),
  allowPrivateAddresses: z
    .boolean()
    .optional()
    .describe(
      'Read keys also from loopback, private and link-local addresses, as of an issuer in the same cluster. Default: as allowHttp.',
    ),
}).describe('Who signs tokens that webhooks trust.');

const named = <T extends z.ZodType>(schema: T) => z.record(z.string().regex(NAME_PATTERN), schema);

/** The whole file; used for the JSON Schema. Files are checked part by part, so that every error is found at once. */
export const configSchema = strictObject({
  $schema: z.string().optional().describe('For editors.'),
  server: serverSchema.optional(),
  issuers: named(issuerSchema).optional(),
  connections: named(s3ConnectionSchema).optional(),
  notifications: named(receiverSchema).optional(),
  jobs: named(jobSchema).optional(),
  triggers: named(triggerSchema).optional(),
}).describe('Tappet configuration.');

export type ServerInput = z.output<typeof serverSchema>;
export type JobInput = z.output<typeof jobSchema>;
export type RetryInput = z.output<typeof retry>;
export type SourceInput = z.output<typeof sourceSchema>;
