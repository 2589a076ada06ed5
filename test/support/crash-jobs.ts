import { createHash } from 'node:crypto';
import type { JsonObject } from '../../src/core/json.ts';
import type { Scenario } from './crash-places.ts';
import { TEST_IMAGE } from './engine.ts';

/** More than one chunk of an object's body. */
export const ONE = 'one of two inputs\n'.repeat(20_000);
export const TWO = 'the other one\n';
export const KEY = 'a key in a file';
export const WORD = 'a word in the environment';
/** Whoever lets anyone in may not keep bodies as files. */
export const TOKEN = 'a'.repeat(32);
export const SENT = 'a body that is a file\n';
export const DROPPED = 'a file that was dropped\n';

/** How an attempt has to have ended, and what it printed. */
interface Attempt {
  readonly reason: string;
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr?: string;
}
export interface Kind {
  readonly source: 'call' | 'body' | 'file' | 'api';
  readonly job: JsonObject;
  readonly state: string;
  readonly attempts: readonly Attempt[];
  /** By path below the prefix of its execution. */
  readonly outputs?: Readonly<Record<string, string>>;
  /** Cancelled as soon as its container runs. */
  readonly cancel?: true;
  /** Its deadline may have passed before its container could start. */
  readonly mayNotStart?: true;
}

const PRELUDE = 'r=/results/$ID; n=$CLOUD_RUN_TASK_ATTEMPT; echo $n >> $r.starts';
const UP = 'echo up; : > $r.up; while :; do sleep 0.1; done';
const listens = `trap 'echo asked; exit 7' TERM; ${PRELUDE}; ${UP}`;
const script = (text: string, more: JsonObject = {}): JsonObject => ({
  image: TEST_IMAGE,
  command: ['/bin/sh', '-c', text, 'sh'],
  memory: '32Mi',
  cpu: 0.1,
  maxRetries: 0,
  gracePeriod: '20s',
  ...more,
});
const ends = (reason: string, exitCode: number, stdout: string): Attempt => ({ reason, exitCode, stdout });
const well = (stdout: string): Pick<Kind, 'state' | 'attempts'> => ({
  state: 'SUCCEEDED',
  attempts: [ends('EXITED_ZERO', 0, stdout)],
});

const MAKE = `${PRELUDE}
sha256sum < /in/one; echo "attempt $n of task $1" >&2
for f in $AFTER; do while [ ! -e /results/$f.up ]; do sleep 0.1; done; done; sleep 1
[ $n = 0 ] && exit 3
mkdir -p /out/parts; cat /in/two /run/secrets/key > /out/result
cp /in/one /out/parts/one; printf %s "$WORD" > /out/parts/word`;
const madeOf = (attempt: number): Pick<Attempt, 'stdout' | 'stderr'> => ({
  stdout: `${createHash('sha256').update(ONE).digest('hex')}  -\n`,
  stderr: `attempt ${attempt} of task 0\n`,
});

export interface KindsOptions {
  /** Has both inputs. */
  readonly bucket: string;
  /** Holds `KEY`. */
  readonly keyFile: string;
  /** An image that the engine does not have. */
  readonly pulled: string;
  /** `make` ends when the containers of these run. */
  readonly after: readonly string[];
}

export const kinds = ({ bucket, keyFile, pulled, after }: KindsOptions): Readonly<Record<string, Kind>> => ({
  // Fails, and is tried again: inputs and secrets twice, outputs once.
  make: {
    source: 'call',
    job: script(MAKE, {
      args: ['${{ task.index }}'],
      maxRetries: 1,
      env: { WORD: { env: 'CRASH_WORD' }, AFTER: after.join(' ') },
      inputs: [
        { from: `s3://store/${bucket}/one`, to: '/in/one' },
        { from: `s3://store/${bucket}/two`, to: '/in/two' },
        { from: { file: keyFile }, to: '/run/secrets/key' },
      ],
      outputs: [
        { from: '/out/result', to: `s3://store/${bucket}/out/result` },
        { from: '/out/parts/', to: `s3://store/${bucket}/out/parts/` },
      ],
    }),
    state: 'SUCCEEDED',
    attempts: [
      { reason: 'NON_ZERO_EXIT_CODE', exitCode: 3, ...madeOf(0) },
      { reason: 'EXITED_ZERO', exitCode: 0, ...madeOf(1) },
    ],
    outputs: { 'out/result': `${TWO}${KEY}`, 'out/parts/one': ONE, 'out/parts/word': WORD },
  },
  late: {
    source: 'call',
    job: script(listens, { timeout: '2s' }),
    state: 'FAILED',
    attempts: [ends('TIMED_OUT', 7, 'up\nasked\n')],
  },
  // Still runs when a gateway has been killed and started again.
  later: {
    source: 'call',
    job: script(listens, { timeout: '8s' }),
    state: 'FAILED',
    attempts: [ends('TIMED_OUT', 7, 'up\nasked\n')],
  },
  due: {
    source: 'call',
    job: script(listens, { deadline: '3s' }),
    state: 'FAILED',
    attempts: [ends('CANCELLED', 7, 'up\nasked\n')],
    mayNotStart: true,
  },
  unwanted: {
    source: 'call',
    job: script(listens),
    state: 'CANCELLED',
    attempts: [ends('CANCELLED', 7, 'up\nasked\n')],
    cancel: true,
  },
  body: {
    source: 'body',
    job: script(`${PRELUDE}; cat /in/a /in/b`, {
      inputs: ['/in/a', '/in/b'].map((to) => ({ from: 'event.body', to })),
    }),
    ...well(SENT.repeat(2)),
  },
  file: {
    source: 'file',
    job: script(`${PRELUDE}; cat /in/a /in/b`, {
      inputs: ['/in/a', '/in/b'].map((to) => ({ from: 'event.file', to })),
    }),
    ...well(DROPPED.repeat(2)),
  },
  pull: {
    source: 'call',
    job: script(`${PRELUDE}; echo pulled`, { image: pulled }),
    ...well('pulled\n'),
  },
  deaf: {
    source: 'call',
    job: script(`trap '' TERM; ${PRELUDE}; ${UP}`, { gracePeriod: '1s' }),
    state: 'CANCELLED',
    attempts: [ends('CANCELLED', 137, 'up\n')],
    cancel: true,
  },
  long: {
    source: 'call',
    job: script(`${PRELUDE}; echo begun; sleep 33; echo done`),
    ...well('begun\ndone\n'),
  },
  hand: {
    source: 'api',
    job: script(`${PRELUDE}; echo by hand`, { env: { ID: 'hand-0' } }),
    ...well('by hand\n'),
  },
});

/** What happens in each: by kind, once for each time that it stands here. */
export const EVENTS: Readonly<Record<Scenario, readonly string[]>> = {
  files: ['make', 'body', 'file'],
  stops: ['late', 'late', 'due', 'unwanted'],
  heir: ['make', 'later', 'unwanted', 'unwanted'],
  pull: ['pull'],
  deaf: ['deaf', 'deaf'],
  long: ['long'],
  leave: ['make', 'unwanted'],
  hand: ['hand'],
};

/** Only the kinds of one scenario, so that a round reads no more than it needs. */
export function configOf(
  all: Readonly<Record<string, Kind>>,
  folders: { results: string; inbox: string },
): JsonObject {
  const bind = { bind: folders.results, to: '/results', readOnly: false };
  const entries = Object.entries(all);
  return {
    server: { allowedBinds: [folders.results] },
    jobs: Object.fromEntries(entries.map(([name, { job }]) => [name, { ...job, volumes: [bind] }])),
    triggers: Object.fromEntries(
      entries.flatMap(([name, { source }]) =>
        source === 'api' ? [] : [[name, triggerOf(name, source, folders.inbox)]],
      ),
    ),
  };
}

function triggerOf(job: string, source: Exclude<Kind['source'], 'api'>, inbox: string): JsonObject {
  const id = { call: '${{ event.data.id }}', body: '${{ event.id }}', file: '${{ event.data.name }}' };
  const from: Record<typeof source, JsonObject> = {
    call: { kind: 'webhook', auth: 'none' },
    body: { kind: 'webhook', auth: { bearer: { token: { env: 'CRASH_TOKEN' } } }, body: 'file' },
    file: { kind: 'files', path: inbox, settle: '0s', existing: 'run' },
  };
  return { source: from[source], run: { job, env: { ID: id[source] } } };
}
