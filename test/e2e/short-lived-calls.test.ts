import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { callBytes, Caller } from '../../scripts/lib/load-caller.mjs';
import { GatewayProcess } from '../support/gateway-process.ts';

/**
 * What V8 looks through often is all that was made lately; what was found alive there twice waits for the next look
 * through everything, which holds calls up. So a call must leave next to nothing there. V8 itself says what it finds.
 */
const CALLS = 6_000;
const CONNECTIONS = 8;
/** A bare server of node leaves 20 to 80; a `Map` of calls that come and go left 1,800, literals of new classes 1,300. */
const MOST_BYTES = 500;
const SECRET = 'a secret of this test, of 32 bytes';
const BODY = JSON.stringify({ id: 1, text: 'x'.repeat(960) });

const base = mkdtempSync(join(tmpdir(), 'tappet-e2e-short-lived-'));
let gateway: GatewayProcess | undefined;
afterEach(() => gateway?.stop());
afterAll(() => rmSync(base, { recursive: true, force: true }));

async function start(): Promise<GatewayProcess> {
  const tells = join(base, 'tells.cjs');
  writeFileSync(tells, "require('node:v8').setFlagsFromString('--trace-gc');");
  const options = process.env['NODE_OPTIONS'] ?? '';
  const source = { kind: 'webhook', auth: { hmac: { secret: { env: 'CALL_SECRET' } } } };
  const trigger = { source, when: 'event.data.id > 0', run: { job: 'none' } };
  gateway = new GatewayProcess({
    dir: base,
    config: { jobs: { none: { image: 'none:1' } }, triggers: { in: trigger } },
    env: {
      CALL_SECRET: SECRET,
      DOCKER_HOST: 'unix:///nowhere/docker.sock',
      NODE_OPTIONS: `${options} --require "${tells}"`,
    },
  });
  await gateway.start();
  return gateway;
}

async function callAll(url: string): Promise<void> {
  const signature = createHmac('sha256', SECRET).update(BODY).digest('hex');
  const bytes = callBytes('/hooks/in', { 'x-hub-signature-256': `sha256=${signature}` }, BODY);
  let left = CALLS;
  const goOn = async (caller: Caller): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const { status } = await caller.call(bytes);
      if (status !== 202) throw new Error(`a call was answered ${status}`);
    }
    caller.close();
  };
  const port = Number(new URL(url).port);
  await Promise.all(Array.from({ length: CONNECTIONS }, async () => goOn(await Caller.open(port))));
}

/**
 * Bytes for each quick collection that none of everything came before: what is in use after it is more than after the
 * last one by what waits for a collection of everything.
 */
function leftBehind(output: string): { quick: number; bytes: number; thorough: number } {
  let quick = 0;
  let bytes = 0;
  let thorough = 0;
  let before: number | undefined;
  for (const [, kind, after] of output.matchAll(/(Scavenge|Mark-Compact)[^>]*-> ([\d.]+)/g)) {
    const used = Number(after) * 1024 * 1024;
    if (kind === 'Mark-Compact') {
      thorough += 1;
      before = undefined;
      continue;
    }
    if (before !== undefined) {
      quick += 1;
      bytes += used - before;
    }
    before = used;
  }
  return { quick, bytes, thorough };
}

test(
  'a call leaves next to nothing for the thorough collections of memory',
  { timeout: 60_000 },
  async () => {
    const { url } = await start();
    // Until V8 has compiled what is called often, its own notes of that grow.
    await callAll(url);
    const seen = gateway?.output.length;
    await callAll(url);
    const { quick, bytes, thorough } = leftBehind(gateway?.output.slice(seen) ?? '');
    expect(quick).toBeGreaterThan(5);
    // The two that give back what the start needed, and the one or other beside.
    expect(thorough).toBeLessThan(5);
    expect(bytes / CALLS).toBeLessThan(MOST_BYTES);
    // It was the whole way of a call that was measured.
    const started = await gateway?.api('GET', '/api/v1/executions?pageSize=1');
    expect(started?.json()['executions']).toHaveLength(1);
  },
);
