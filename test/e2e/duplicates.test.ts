import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { SeededRandom } from '../sim/seeded-random.ts';

const CONNECTIONS = 64;
const DUPLICATES = 0.3;
/** A full round has ten thousand. */
const EVENTS = process.env['TAPPET_ROUNDS'] === undefined ? 600 : 10_000;

const config: JsonObject = {
  jobs: { work: { image: 'nothing:1', memory: '6Mi', cpu: 0.05 } },
  triggers: { call: { source: { kind: 'webhook', auth: 'none' }, run: { job: 'work' } } },
};

interface Answer {
  readonly status: number;
  readonly body: JsonObject;
}

class Caller {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  post(key: string, data: unknown): Promise<Answer> {
    const text = JSON.stringify(data);
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      'idempotency-key': key,
    };
    return new Promise((resolve, reject) => {
      const sent = request(
        `${this.#url}/hooks/call`,
        { method: 'POST', agent: this.#agent, headers },
        (response) => {
          let answer = '';
          response.setEncoding('utf8');
          response.on('data', (piece: string) => (answer += piece));
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, body: JSON.parse(answer) as JsonObject }),
          );
        },
      );
      sent.on('error', reject);
      sent.end(text);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Each event once, and three in ten of them once more, in any order. */
function deliveries(random: SeededRandom): number[] {
  const events = Array.from({ length: EVENTS }, (_, i) => i);
  const again = Array.from({ length: EVENTS * DUPLICATES }, () => random.between(0, EVENTS - 1));
  const all = [...events, ...again];
  for (let i = all.length - 1; i > 0; i--) {
    const j = random.between(0, i);
    [all[i], all[j]] = [all[j] ?? 0, all[i] ?? 0];
  }
  return all;
}

describe('calls that come more than once, in any order', () => {
  const row = chaosRow('duplicates', 1);
  const base = mkdtempSync(join(tmpdir(), 'tappet-duplicates-'));
  let host = '';
  beforeAll(async () => void (host = await engineHost()));
  afterAll(() => rmSync(base, { recursive: true, force: true }));

  it.each(Array.from({ length: row.rounds }, (_, i) => row.first + i))(
    'start one execution each, and each hears of it: round %i',
    async (round) => {
      row.begin();
      const random = new SeededRandom(row.seed * 1_000 + round);
      const program = join(import.meta.dirname, '../support/no-op-gateway.mjs');
      const dir = join(base, String(round));
      const gateway = new GatewayProcess({ dir, config, program, env: { DOCKER_HOST: host } });
      await gateway.start();
      const caller = new Caller(gateway.url);
      try {
        await oneEach(gateway, await deliver(caller, deliveries(random)));
        const other = await caller.post('event-0', { n: -1 });
        expect([other.status, other.body['code']]).toEqual([422, 'ID_REUSED']);
        expect(await gateway.list('/api/v1/executions', 'executions')).toHaveLength(EVENTS);
      } finally {
        caller.close();
        await gateway.stop();
      }
    },
    600_000,
  );
});

async function deliver(caller: Caller, order: readonly number[]): Promise<Map<number, Answer[]>> {
  const answers = new Map<number, Answer[]>();
  let next = 0;
  const connection = async (): Promise<void> => {
    for (let n = order[next++]; n !== undefined; n = order[next++]) {
      const answer = await caller.post(`event-${n}`, { n });
      answers.set(n, [...(answers.get(n) ?? []), answer]);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, connection));
  return answers;
}

async function oneEach(gateway: GatewayProcess, answers: ReadonlyMap<number, Answer[]>): Promise<void> {
  expect(answers.size).toBe(EVENTS);
  const named = new Set<string>();
  for (const [n, heard] of answers) {
    const first = heard.filter(({ body }) => body['duplicate'] === false);
    expect([n, first.length, heard.map(({ status }) => status)]).toEqual([n, 1, heard.map(() => 202)]);
    // The same event, decisions and execution, to the last of them.
    const bodies = heard.map(({ body: { duplicate: _duplicate, ...rest } }) => rest);
    expect(bodies).toEqual(bodies.map(() => bodies[0]));
    const executions = bodies[0]?.['executions'];
    expect([n, executions]).toEqual([n, [expect.any(String)]]);
    named.add(String(executions));
  }
  const made = await gateway.list('/api/v1/executions', 'executions');
  expect(made).toHaveLength(EVENTS);
  expect(new Set(made.map(({ name }) => name))).toEqual(named);
}
