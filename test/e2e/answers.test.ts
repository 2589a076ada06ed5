import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const job = (script: string, more: JsonObject = {}): JsonObject => ({
  image: TEST_IMAGE,
  command: ['/bin/sh', '-c', script],
  maxRetries: 0,
  output: 'json',
  ...more,
});
const hook = (run: JsonObject, answer: JsonObject): JsonObject => ({
  source: { kind: 'webhook', auth: 'none', answer },
  run,
});
const CONFIG: JsonObject = {
  jobs: {
    // As nobody: the file belongs to root, and can be written to all the same.
    sum: job('echo "{\\"sum\\": $((A + B))}" > "$TAPPET_OUTPUT"', { user: '65534:65534' }),
    bad: job('echo oops > "$TAPPET_OUTPUT"'),
    slow: job('sleep 30', { output: 'text' }),
  },
  triggers: {
    sum: hook(
      { job: 'sum', env: { A: '${{ event.data.a }}', B: '${{ event.data.b }}' } },
      { wait: '60s', status: 201, body: { sum: '${{ execution.output.sum }}' } },
    ),
    bad: hook({ job: 'bad' }, { wait: '60s' }),
    slow: hook({ job: 'slow' }, { wait: '1s' }),
    long: hook({ job: 'slow' }, { wait: '5m' }),
  },
};

describe('a caller that waits', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-answers-'));
  let gateway: GatewayProcess;
  beforeAll(async () => {
    gateway = new GatewayProcess({ dir, config: CONFIG, env: { DOCKER_HOST: await engineHost() } });
    await gateway.start();
  });
  afterAll(async () => {
    await gateway.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const call = (name: string, body: JsonObject, key?: string): Promise<Response> =>
    fetch(`${gateway.url}/hooks/${name}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      body: JSON.stringify(body),
    });

  it('hears what the container wrote to $TAPPET_OUTPUT, in the words of the trigger', async () => {
    const answer = await call('sum', { a: 40, b: 2 }, 'once');
    expect([answer.status, await answer.json()]).toEqual([201, { sum: 42 }]);
    const again = await call('sum', { a: 40, b: 2 }, 'once');
    expect([again.status, await again.json()]).toEqual([201, { sum: 42 }]);
    const { executions } = (await gateway.api('GET', '/api/v1/executions?job=sum')).json();
    expect(executions).toHaveLength(1);
  });

  it('hears that the output is not what the job says', async () => {
    const answer = await call('bad', {});
    expect(answer.status).toBe(200);
    const { results } = (await answer.json()) as { results: JsonObject[] };
    expect(results).toMatchObject([{ state: 'FAILED', ended: true }]);
    const name = String(results[0]?.['execution']);
    const { message } = (await gateway.api('GET', `/api/v1/executions/${name}`)).json();
    expect(message).toMatch(/what it wrote to \$TAPPET_OUTPUT is not JSON/);
  });

  it('hears 202 where it takes longer, and does not keep the gateway from stopping', async () => {
    const answer = await call('slow', {});
    expect([answer.status, await answer.json()]).toMatchObject([202, { results: [{ ended: false }] }]);
    const waiting = call('long', {});
    await gateway.until('/api/v1/executions?trigger=long', (list) =>
      (list['executions'] as JsonObject[]).length === 1 ? true : undefined,
    );
    const stopping = Date.now();
    await gateway.stop();
    expect(Date.now() - stopping).toBeLessThan(5_000);
    expect((await waiting).status).toBe(202);
    await gateway.start();
    for (const { name } of (await gateway.api('GET', '/api/v1/executions?job=slow')).json()[
      'executions'
    ] as JsonObject[])
      await gateway.api('POST', `/api/v1/executions/${String(name)}:cancel`);
  });
});
