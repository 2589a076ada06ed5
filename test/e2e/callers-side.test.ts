import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { startOidcIssuer } from '../support/oidc-issuer.ts';
import type { OidcIssuer } from '../support/oidc-issuer.ts';

const run = promisify(execFile);
const CLI = join(import.meta.dirname, '../../dist/src/cli.js');
const SECRET = `it's "the" $HOOK \`secret\``;
const STANDARD = `whsec_${Buffer.alloc(32, 5).toString('base64')}`;
const AUDIENCE = 'https://tappet.example/hooks/token';
const CLAIMS = { email: 'robot@example.com', email_verified: true };

const webhook = (auth: JsonObject, more: JsonObject = {}): JsonObject => ({
  source: { kind: 'webhook', auth, ...more },
  run: { job: 'work' },
});
const hmac = (more: JsonObject): JsonObject => ({ hmac: { secret: { env: 'HOOK_SECRET' }, ...more } });

describe("the caller's side", () => {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-callers-side-'));
  let issuer: OidcIssuer;
  let gateway: GatewayProcess;

  beforeAll(async () => {
    issuer = await startOidcIssuer();
    const config: JsonObject = {
      issuers: { main: { issuer: issuer.issuer, allowHttp: true } },
      jobs: { work: { image: 'none:1' } },
      triggers: {
        plain: webhook(hmac({})),
        timed: webhook(hmac({ header: 'x-digest', prefix: '', timestamp: { header: 'x-time' } })),
        github: webhook(hmac({ scheme: 'github' })),
        standard: webhook({ hmac: { scheme: 'standard-webhooks', secret: { env: 'STANDARD' } } }),
        token: webhook({ oidc: { issuer: 'main', audience: AUDIENCE, emails: [CLAIMS.email] } }),
        meta: webhook(hmac({}), { challenge: { meta: { verifyToken: { env: 'META_TOKEN' } } } }),
        graph: webhook(hmac({}), { challenge: 'microsoft' }),
      },
    };
    // No job has to run.
    const env = {
      DOCKER_HOST: 'tcp://127.0.0.1:1',
      HOOK_SECRET: SECRET,
      STANDARD,
      META_TOKEN: 'a-verify-token',
    };
    gateway = new GatewayProcess({ dir, config, env });
    await gateway.start();
    // Where curl looks for what it is to do always: it tells the status after the answer.
    writeFileSync(join(dir, '.curlrc'), 'write-out = "\\n%{http_code}"\n');
  });
  afterAll(async () => {
    await gateway.stop();
    await issuer.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** What is printed, in a shell at once, as a reader would: the status, and how many events are there then. */
  async function called(trigger: string, env: Record<string, string>): Promise<readonly [string, number]> {
    const { stdout } = await run('/bin/sh', ['-c', `"$CLI" triggers show ${trigger} --curl | sh`], {
      env: { PATH: process.env['PATH'], CURL_HOME: dir, CLI, TAPPET_DATA_DIR: gateway.dataDir, ...env },
    });
    const events = await gateway.list(`/api/v1/events?trigger=${trigger}`, 'events');
    return [stdout.trimEnd().split('\n').at(-1) ?? '', events.length];
  }

  describe('tappet triggers show --curl, piped into a shell', () => {
    it.each(['plain', 'timed', 'github', 'standard'])(
      'makes one event of a call that is signed, and none with another secret: %s',
      async (trigger) => {
        const wrong = `whsec_${Buffer.alloc(32, 6).toString('base64')}`;
        expect(await called(trigger, { HOOK_SECRET: 'another', STANDARD: wrong })).toEqual(['401', 0]);
        expect(await called(trigger, { HOOK_SECRET: SECRET, STANDARD })).toEqual(['202', 1]);
      },
    );

    it("makes one event of a call with an issuer's token, and none with that of another caller", async () => {
      const stranger = await issuer.token({
        audience: AUDIENCE,
        claims: { ...CLAIMS, email: 'x@example.com' },
      });
      expect(await called('token', { TOKEN: stranger })).toEqual(['401', 0]);
      const token = await issuer.token({ audience: AUDIENCE, claims: CLAIMS });
      expect(await called('token', { TOKEN: token })).toEqual(['202', 1]);
      const told = (await gateway.api('GET', '/api/v1/triggers/token')).json();
      expect(told['issuers']).toEqual({ main: 'generic' });
    });
  });

  const asked = async (path: string, method = 'GET'): Promise<readonly unknown[]> => {
    const response = await fetch(`${gateway.url}/hooks/${path}`, { method });
    const text = await response.text();
    return [response.status, response.headers.get('content-type'), response.ok ? text : ''];
  };
  const TEXT = 'text/plain; charset=utf-8';

  it("answers Meta's question over HTTP, to who knows the token", async () => {
    const query = 'hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=';
    expect(await asked(`meta?${query}a-verify-token`)).toEqual([200, TEXT, '1158201444']);
    expect(await asked(`meta?${query}wrong`)).toMatchObject([401, expect.anything(), '']);
    expect(await asked(`plain?${query}a-verify-token`)).toMatchObject([401, expect.anything(), '']);
    expect(await gateway.list('/api/v1/events?trigger=meta', 'events')).toEqual([]);
  });

  it("answers Microsoft's question over HTTP, and takes no event without proof", async () => {
    const query = 'validationToken=Validation%3a%20%3cscript%3e';
    expect(await asked(`graph?${query}`, 'POST')).toEqual([200, TEXT, 'Validation: <script>']);
    expect(await asked('graph', 'POST')).toMatchObject([401, expect.anything(), '']);
    expect(await asked(`plain?${query}`, 'POST')).toMatchObject([401, expect.anything(), '']);
    expect(await gateway.list('/api/v1/events?trigger=graph', 'events')).toEqual([]);
  });
});
