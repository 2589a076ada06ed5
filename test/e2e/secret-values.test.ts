import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { engineRequest, TEST_IMAGE, testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const secret = (): string => `s-${randomBytes(12).toString('hex')}`;
/** One for each way in which a secret gets into the gateway. */
const VALUES = { env: secret(), file: secret(), stored: secret(), hmac: secret(), s3: secret() };

/** A value in every form in which it may have got somewhere. */
const forms = (value: string): Buffer[] =>
  [value, Buffer.from(value).toString('base64').replace(/=+$/, ''), Buffer.from(value).toString('hex')].map(
    (text) => Buffer.from(text),
  );

const leaked = (text: string | Buffer): string[] => {
  const bytes = Buffer.from(text as string);
  return Object.entries(VALUES).flatMap(([name, value]) =>
    forms(value).some((form) => bytes.includes(form)) ? [name] : [],
  );
};

const CONFIG: JsonObject = {
  connections: {
    // Nothing listens there: what the store says of its trouble is looked at too.
    away: {
      kind: 's3',
      endpoint: 'http://127.0.0.1:9',
      accessKeyId: { env: 'LEAK_ENV' },
      secretAccessKey: { env: 'LEAK_S3' },
    },
  },
  jobs: {
    reads: {
      image: TEST_IMAGE,
      // Digests, so that the log shows what arrived without showing it.
      command: [
        '/bin/sh',
        '-c',
        'for v in "$A" "$B" "$C"; do printf %s "$v" | sha256sum | cut -d" " -f1; done; sha256sum < /run/secrets/d | cut -d" " -f1; while [ ! -e /tmp/go ]; do sleep 0.1; [ $((i+=1)) -gt 30 ] && exit 0; done',
      ],
      env: { A: { env: 'LEAK_ENV' }, B: { file: './b.secret' }, C: { secret: 'leak' } },
      inputs: [{ from: { secret: 'leak' }, to: '/run/secrets/d' }],
      memory: '64Mi',
      timeout: '1m',
    },
    unreadable: { image: TEST_IMAGE, env: { A: { env: 'LEAK_ENV' }, B: { file: './gone.secret' } } },
  },
  triggers: {
    call: {
      source: { kind: 'webhook', auth: { hmac: { secret: { env: 'LEAK_HMAC' } } } },
      run: { job: 'reads' },
    },
    up: { source: { kind: 'storage', connection: 'away', bucket: 'bucket' }, run: { job: 'reads' } },
  },
};

describe('secret values', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-leak-'));
  let gateway: GatewayProcess;

  beforeAll(async () => {
    writeFileSync(join(dir, 'b.secret'), `${VALUES.file}\n`, { mode: 0o600 });
    writeFileSync(join(dir, 'gone.secret'), VALUES.file, { mode: 0o600 });
    await setSecret('leak', VALUES.stored);
    const env = { LEAK_ENV: VALUES.env, LEAK_HMAC: VALUES.hmac, LEAK_S3: VALUES.s3 };
    gateway = new GatewayProcess({ dir, config: CONFIG, env: { DOCKER_HOST: await engineHost(), ...env } });
    await gateway.start();
    rmSync(join(dir, 'gone.secret'));
  });
  afterAll(async () => {
    await gateway.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const setSecret = (name: string, value: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const program = join(import.meta.dirname, '../../dist/src/cli.js');
      const args = [program, 'secrets', 'set', name, '--data-dir', join(dir, 'data')];
      const child = execFile(process.execPath, args, (error) => (error === null ? resolve() : reject(error)));
      child.stdin?.end(value);
    });
  const run = async (job: string): Promise<string> => {
    const answer = await gateway.api('POST', `/api/v1/jobs/${job}:run`, {});
    expect(answer.status, answer.text).toBe(200);
    return String(answer.json()['name']);
  };
  const ended = (name: string): Promise<JsonObject> =>
    gateway.until(
      `/api/v1/executions/${name}`,
      (e) => (e['completionTime'] === null ? undefined : e),
      50_000,
    );

  it('reach the container, and nothing else that the gateway writes, answers or labels', async () => {
    const name = await run('reads');
    await gateway.until(`/api/v1/executions/${name}/tasks/0/attempts`, (answer) =>
      (answer['attempts'] as JsonObject[])[0]?.['state'] === 'RUNNING' ? true : undefined,
    );
    const engine = await testEngine();
    const filters = encodeURIComponent(JSON.stringify({ label: [`dev.tappet.execution=${name}`] }));
    const containers = await engineRequest(engine, 'GET', `/v1.41/containers/json?all=1&filters=${filters}`);
    const labels = (JSON.parse(containers.body) as { Labels: object }[]).map(({ Labels }) => Labels);
    expect(labels).toHaveLength(1);
    expect(leaked(JSON.stringify(labels))).toEqual([]);

    expect(await ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    const log = await gateway.api('GET', `/api/v1/executions/${name}/tasks/0/logs`);
    expect(log.text.trim().split('\n')).toEqual(
      await digests([VALUES.env, VALUES.file, VALUES.stored, VALUES.stored]),
    );

    const failed = await ended(await run('unreadable'));
    expect(failed).toMatchObject({ state: 'FAILED' });
    // A wrong signature: what is compared with it must not be told.
    await fetch(`${gateway.url}/hooks/call`, {
      method: 'POST',
      headers: { 'x-hub-signature-256': 'sha256=00' },
      body: '{}',
    });
    for (const path of await answers(name, String(failed['name']))) {
      const answer = await gateway.api('GET', path);
      expect(answer.status, path).toBe(200);
      expect({ path, leaked: leaked(answer.text) }).toEqual({ path, leaked: [] });
    }
    expect(leaked(gateway.output)).toEqual([]);
    await gateway.stop();
    for (const file of readdirSync(gateway.dataDir, { recursive: true, encoding: 'utf8' })) {
      const path = join(gateway.dataDir, file);
      const found = leaked(readFileIfAny(path));
      expect({ file, leaked: found }).toEqual({ file, leaked: [] });
    }
  });

  const answers = async (...executions: readonly string[]): Promise<string[]> => {
    const events = await gateway.list('/api/v1/events', 'events');
    return [
      '/api/v1/status',
      '/api/v1/jobs',
      '/api/v1/jobs/reads',
      '/api/v1/triggers',
      '/api/v1/triggers/call',
      '/api/v1/triggers/up',
      '/api/v1/events',
      ...events.map((event) => `/api/v1/events/${String(event['uid'])}`),
      '/api/v1/executions',
      ...executions.flatMap((name) => [
        `/api/v1/executions/${name}`,
        `/api/v1/executions/${name}/tasks`,
        `/api/v1/executions/${name}/tasks/0/attempts`,
      ]),
    ];
  };
});

function readFileIfAny(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    // A folder, or a file that the end of the gateway took away.
    return Buffer.alloc(0);
  }
}

async function digests(values: readonly string[]): Promise<string[]> {
  return Promise.all(
    values.map(async (value) =>
      Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(value))).toString('hex'),
    ),
  );
}
