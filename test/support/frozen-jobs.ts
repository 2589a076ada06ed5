import type { JsonObject } from '../../src/core/json.ts';
import { TEST_IMAGE } from './engine.ts';
import type { TestStore } from './minio.ts';

/** What becomes of each hook's call: the states of its attempts. */
export const ENDS: Readonly<Record<string, readonly string[]>> = {
  quick: ['SUCCEEDED'],
  again: ['FAILED', 'SUCCEEDED'],
  overdue: ['FAILED'],
  long: ['SUCCEEDED'],
};
export const HOOKS = Object.keys(ENDS);
/** They have ended when the frozen one goes on; the long one runs, led by the other. */
export const SHORT = HOOKS.filter((hook) => hook !== 'long');

/** Of what the long one prints while it stands still, the log begins a file more. */
export const LINE_END = ` ${'-'.repeat(2_000)}\n`;
const MARK = 'echo "$CLOUD_RUN_TASK_ATTEMPT" >> "/results/$ID"';
const SCRIPTS: Readonly<Record<string, string>> = {
  quick: `${MARK}; mkdir /out; echo "$ID" > /out/id`,
  again: `${MARK}; [ "$CLOUD_RUN_TASK_ATTEMPT" = 1 ]`,
  overdue: `${MARK}; exec sleep 1000`,
  long: `${MARK}; n=0
    while [ ! -e /results/end ]; do printf '%d%s' $n "$LINE_END"; n=$((n + 1)); sleep 0.2; done
    mkdir /out; echo "$n" > /out/lines`,
};
const OUTPUTS: Readonly<Record<string, string>> = { quick: '/out/id', long: '/out/lines' };

export interface Place {
  readonly place: string;
  readonly host: string;
  readonly minio: TestStore;
  readonly bucket: string;
}

export function config(results: string, { place, minio, bucket }: Place): JsonObject {
  const keys = { accessKeyId: { env: 'S3_KEY' }, secretAccessKey: { env: 'S3_SECRET' } };
  const to = `s3://store/${bucket}/${prefixOf(place)}/\${{ event.data.id }}`;
  const job = (hook: string): JsonObject => ({
    image: TEST_IMAGE,
    command: ['/bin/sh', '-c'],
    args: [SCRIPTS[hook] ?? ''],
    memory: '16Mi',
    cpu: 0.1,
    timeout: hook === 'overdue' ? '2s' : '5m',
    maxRetries: hook === 'again' ? 1 : 0,
    maxLogBytes: '1Mi',
    volumes: [{ bind: results, to: '/results', readOnly: false }],
    ...(OUTPUTS[hook] === undefined ? {} : { outputs: [{ from: OUTPUTS[hook], to }] }),
  });
  const trigger = (hook: string): JsonObject => ({
    source: { kind: 'webhook', auth: 'none' },
    // What names `task` is rendered by the attempt, and stored.
    run: { job: hook, env: { ID: '${{ event.data.id }}', PART: '${{ task.index }}', LINE_END } },
  });
  return {
    server: { allowedBinds: [results] },
    connections: { store: { kind: 's3', endpoint: minio.server.url, ...keys } },
    jobs: Object.fromEntries(HOOKS.map((hook) => [hook, job(hook)])),
    triggers: Object.fromEntries(HOOKS.map((hook) => [hook, trigger(hook)])),
  };
}

/** Of its data folder, and of its objects. */
export const prefixOf = (place: string): string => place.replaceAll(':', '-');
