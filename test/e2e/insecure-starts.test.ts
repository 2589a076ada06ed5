import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const LONG = 'a secret that is long enough';
const hook = (auth: unknown, server: JsonObject = {}): JsonObject => ({
  server,
  jobs: { report: { image: 'none:1' } },
  triggers: {
    call: {
      source: { kind: 'webhook', ...(auth === undefined ? {} : { auth: auth as JsonObject }) },
      run: { job: 'report' },
    },
  },
});
const hmac = hook({ hmac: { secret: { env: 'HOOK_SECRET' } } });
const issuer = (fields: JsonObject): JsonObject => ({
  issuers: { other: { issuer: 'https://issuer.example.com', ...fields } },
  ...hook({ oidc: { issuer: 'other', audience: 'here', subjects: ['caller'] } }),
});

interface Start {
  readonly what: string;
  readonly config: JsonObject;
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  /** Called with the folder, before the start. */
  readonly before?: (dir: string) => void;
  /** In the refusal, or in the warnings. */
  readonly says: RegExp;
}

const withToken =
  (text: string, mode: number) =>
  (dir: string): void => {
    mkdirSync(join(dir, 'data'), { mode: 0o700 });
    writeFileSync(join(dir, 'data/token'), text);
    chmodSync(join(dir, 'data/token'), mode);
  };

const REFUSED: readonly Start[] = [
  {
    what: 'a webhook lets in anyone, from all networks',
    config: hook('none', { host: '0.0.0.0' }),
    says: /triggers\.call\.source\.auth: lets in anyone \("auth: none"\), and other machines reach 0\.0\.0\.0: say who may call/,
  },
  {
    what: '… because a flag opens it',
    config: hook('none'),
    flags: ['--host', '0.0.0.0'],
    says: /lets in anyone \("auth: none"\).*set server\.allowAnonymous to true/,
  },
  {
    what: 'nobody says who may call',
    config: hook(undefined),
    says: /triggers\.call\.source\.auth: is missing; a webhook must say who may call/,
  },
  {
    what: 'the secret of a webhook is empty',
    config: hmac,
    env: { HOOK_SECRET: '' },
    says: /HOOK_SECRET is empty: put the secret there/,
  },
  { what: 'the secret is not set', config: hmac, says: /HOOK_SECRET is not set/ },
  {
    what: 'any token of a public issuer would do',
    config: {
      issuers: { google: { preset: 'google' } },
      ...hook({ oidc: { issuer: 'google', audience: 'here' } }),
    },
    says: /must say who may call/,
  },
  {
    what: 'an issuer is read over http',
    config: issuer({ issuer: 'http://issuer.example.com' }),
    says: /must be https/,
  },
  {
    what: 'an issuer signs with a secret that its clients know',
    config: issuer({ algorithms: ['HS256'] }),
    says: /HS256/,
  },
  {
    what: 'the API token is empty',
    config: hmac,
    env: { HOOK_SECRET: LONG },
    before: withToken('', 0o600),
    says: /token.*empty/s,
  },
  {
    what: 'the API token is short',
    config: hmac,
    env: { HOOK_SECRET: LONG },
    before: withToken('secret\n', 0o600),
    says: /fewer than 16 characters/,
  },
  {
    what: 'others may read the API token',
    config: hmac,
    env: { HOOK_SECRET: LONG },
    before: withToken('tpt_0123456789abcdef0123456789abcdef\n', 0o644),
    says: /can be read or changed by other users of this machine.*chmod 600/s,
  },
  {
    what: 'a job gets the folder of the engine',
    config: {
      server: { allowedBinds: ['/var/run'] },
      jobs: { report: { image: 'none:1', volumes: [{ bind: '/var/run', to: '/x' }] } },
    },
    says: /holds the engine's socket/,
  },
];

const WARNED: readonly Start[] = [
  {
    what: 'a webhook lets in anyone, from all networks, as it is meant to',
    config: hook('none', { host: '0.0.0.0', allowAnonymous: true }),
    says: /whoever reaches 0\.0\.0\.0 may start jobs by call \(\\?"auth: none\\?"\), as server\.allowAnonymous says/,
  },
  {
    what: 'others may change the configuration',
    config: hook('none'),
    before: (dir) => {
      writeFileSync(join(dir, 'tappet.json'), '');
      chmodSync(join(dir, 'tappet.json'), 0o666);
    },
    says: /tappet\.json: can be changed by every user of this machine.*chmod o-w/,
  },
  {
    what: 'others may read a secret',
    config: hook({ hmac: { secret: { file: './hook.secret' } } }),
    before: (dir) => writeFileSync(join(dir, 'hook.secret'), LONG, { mode: 0o644 }),
    says: /hook\.secret.*can be read by every user of this machine: chmod 600/,
  },
  {
    what: 'a secret is short',
    config: hmac,
    env: { HOOK_SECRET: 'abc' },
    says: /the secret .*short|shorter/,
  },
];

describe('a start that would leave a door open', () => {
  let dir: string;
  let gateway: GatewayProcess | undefined;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'tappet-open-'))));
  afterEach(async () => {
    await gateway?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const begin = async ({ config, env = {}, flags = [], before }: Start): Promise<GatewayProcess> => {
    before?.(dir);
    gateway = new GatewayProcess({ dir, config, env, flags });
    await gateway.start();
    return gateway;
  };

  it.each(REFUSED)('is refused where $what', async (start) => {
    await expect(begin(start)).rejects.toThrow(start.says);
  });

  it.each(WARNED)('is told of where $what; the API wants its token all the same', async (start) => {
    const { url, output } = await begin(start);
    expect(output).toMatch(start.says);
    for (const path of ['/api/v1/status', '/api/v1/jobs', '/api/v1/executions']) {
      const { status } = await fetch(`${url.replace('0.0.0.0', '127.0.0.1')}${path}`);
      expect({ path, status }).toEqual({ path, status: 401 });
    }
  });

  it('by a webhook for anyone on this machine alone is none', async () => {
    const { output } = await begin({ what: '', config: hook('none'), says: /^/ });
    expect(output).not.toContain('whoever reaches');
    expect(output).not.toContain('can be changed');
  });
});
