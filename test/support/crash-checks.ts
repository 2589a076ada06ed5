import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { S3Client } from '@aws-sdk/client-s3';
import { expect } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { untilNoContainer } from './chaos-rounds.ts';
import { SENT, TOKEN } from './crash-jobs.ts';
import type { Kind } from './crash-jobs.ts';
import type { GatewayProcess } from './gateway-process.ts';
import { objectsBelow } from './minio.ts';

/** One event, or run, of a round. */
export interface Wanted {
  readonly id: string;
  readonly kind: Kind;
  /** Of its trigger and its job. */
  readonly name: string;
}
export interface Sent {
  readonly status: number;
  readonly execution: string;
  readonly duplicate: boolean;
}

/** What a round has left, and who can tell of it. */
export interface Outcome {
  readonly gateway: GatewayProcess;
  readonly engine: EngineEndpoint;
  readonly client: S3Client;
  readonly bucket: string;
  /** Where the containers leave their marks. */
  readonly results: string;
  readonly wanted: readonly Wanted[];
  /** Its execution, by the id of an event that was acknowledged. */
  readonly acked: ReadonlyMap<string, string>;
}

export async function sendEvent(url: string, { id, kind, name }: Wanted): Promise<Sent> {
  const type = kind.source === 'body' ? 'application/octet-stream' : 'application/json';
  const response = await fetch(`${url}/hooks/${name}`, {
    method: 'POST',
    headers: { 'content-type': type, 'idempotency-key': id, authorization: `Bearer ${TOKEN}` },
    body: kind.source === 'body' ? SENT : JSON.stringify({ id }),
  });
  const body = (await response.json()) as { executions?: string[]; duplicate?: boolean };
  return {
    status: response.status,
    execution: body.executions?.[0] ?? '',
    duplicate: body.duplicate ?? false,
  };
}

/**
 * What is told to end half a second after its start may not hear of it where it has a tenth of a core on a busy machine: the
 * kernel keeps SIGTERM from a first process that has set up nothing for it yet. It then ends by SIGKILL, after its grace; or
 * as a shell does that has set no trap yet.
 */
const START_UP_MS = 1_500;
const UNHEARD = [137, 143];

/** One execution of each; each ends as it is to, and nothing is left at the engine. Waits for all of that. */
export async function expectTrueEnds(outcome: Outcome): Promise<void> {
  const { gateway, wanted, acked, engine } = outcome;
  const all = await gateway.until(
    '/api/v1/executions?pageSize=100',
    ({ executions }) => endedOf(executions as JsonObject[], wanted.length),
    60_000,
  );
  expect(all).toHaveLength(wanted.length);
  for (const one of wanted) {
    const { id, kind, name } = one;
    const found = kind.source === 'file' ? nameOf(all, name) : (acked.get(id) ?? '');
    const execution = all.find((row) => row['name'] === found);
    expect(execution?.['state'], name).toBe(kind.state);
    await expectAttempts(outcome, one, execution ?? {});
    await expectOutputs(outcome, kind);
    await untilNoContainer(engine, found);
    if (kind.source === 'call' || kind.source === 'body')
      expect(await sendEvent(gateway.url, one)).toEqual({ status: 202, execution: found, duplicate: true });
  }
  expect(await gateway.list('/api/v1/executions', 'executions')).toHaveLength(wanted.length);
}

/** By the marks that the containers left, and by what they are known to print. */
async function expectAttempts(
  { gateway, results }: Outcome,
  { id, kind, name }: Wanted,
  execution: JsonObject,
): Promise<void> {
  const path = `/api/v1/executions/${String(execution['name'])}/tasks/0`;
  const rows = (await gateway.api('GET', `${path}/attempts`)).json()['attempts'] as JsonObject[];
  const marks = join(results, `${id}.starts`);
  const starts = existsSync(marks) ? readFileSync(marks, 'utf8').trim().split('\n') : [];
  if (kind.mayNotStart === true && wasUnheard(execution, rows)) return;
  if (kind.mayNotStart === true && starts.length === 0) {
    expect(rows.filter(({ exitCode }) => exitCode !== null)).toEqual([]);
    return;
  }
  expect(starts, `${name}: each attempt started once`).toEqual(kind.attempts.map((_, i) => String(i)));
  const ends = rows.map(({ reason, exitCode }) => ({ reason, exitCode }));
  expect(ends, name).toEqual(kind.attempts.map(({ reason, exitCode }) => ({ reason, exitCode })));
  for (const [i, { stdout, stderr = '' }] of kind.attempts.entries()) {
    expect(await logOf(gateway, `${path}/logs?attempt=${i}&stream=stdout`), `${name}, ${i}`).toBe(stdout);
    expect(await logOf(gateway, `${path}/logs?attempt=${i}&stream=stderr`), `${name}, ${i}`).toBe(stderr);
  }
}

/** Whether its one attempt was told to end when it had just started, and did not hear of it. */
function wasUnheard({ deadline }: JsonObject, [attempt, ...more]: readonly JsonObject[]): boolean {
  if (attempt === undefined || more.length > 0 || attempt['startTime'] === null) return false;
  const ran = Date.parse(String(deadline)) - Date.parse(String(attempt['startTime']));
  return (
    ran < START_UP_MS && attempt['reason'] === 'CANCELLED' && UNHEARD.includes(Number(attempt['exitCode']))
  );
}

async function logOf(gateway: GatewayProcess, path: string): Promise<string> {
  const { status, text } = await gateway.api('GET', path);
  expect(status, path).toBe(200);
  return text;
}

async function expectOutputs({ client, bucket }: Outcome, { outputs }: Kind): Promise<void> {
  if (outputs !== undefined) expect(await objectsBelow(client, bucket, 'out/')).toEqual(outputs);
}

/** Nobody hears what became of a file: there is one execution of its trigger. */
function nameOf(all: readonly JsonObject[], trigger: string): string {
  const found = all.filter(({ cause }) => (cause as JsonObject)['trigger'] === trigger);
  expect(found, `executions of ${trigger}`).toHaveLength(1);
  return String(found[0]?.['name']);
}

function endedOf(executions: readonly JsonObject[], count: number): readonly JsonObject[] | undefined {
  const ended = executions.every(({ completionTime }) => completionTime !== null);
  return executions.length >= count && ended ? executions : undefined;
}
