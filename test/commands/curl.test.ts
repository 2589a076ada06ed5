import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { verify as verifyGithub } from '@octokit/webhooks-methods';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileVerify } from '../../src/auth/verify.ts';
import { curlText } from '../../src/commands/curl.ts';
import type { Preset, VerifyRequest } from '../../src/core/auth.ts';
import type { Json } from '../../src/core/json.ts';
import { SecretValue } from '../../src/core/secrets.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { auth as authSchema } from '../../triggers/webhook/auth-config.ts';

const run = promisify(execFile);
// What a shell could stumble over, too.
const SECRET = `it's "quoted" $HOME \`x\` \\n`;
const KEY = `whsec_${Buffer.from('a key of thirty-two bytes exactly').toString('base64')}`;

interface Call extends VerifyRequest {
  readonly method: string;
  readonly url: string;
}

let base = '';
let folder = '';
const calls: Call[] = [];
const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const headers = new Headers(Object.entries(request.headers) as [string, string][]);
    calls.push({
      method: String(request.method),
      url: String(request.url),
      headers,
      body: Buffer.concat(parts),
      remoteAddress: '127.0.0.1',
    });
    response.end();
  });
});

/** What the list of processes would show: the programs that a call uses, each with its arguments. */
const seen = (): string => readFileSync(join(folder, 'seen'), 'utf8');

/** In front of each program one that writes its arguments down. */
function watchPrograms(): void {
  mkdirSync(join(folder, 'bin'));
  const path = String(process.env['PATH']);
  for (const program of ['cat', 'curl', 'cut', 'date', 'od', 'openssl', 'printf', 'sed', 'tr']) {
    const file = join(folder, 'bin', program);
    const note = `printf '%s\\n' "${program} $*" >> '${join(folder, 'seen')}'`;
    writeFileSync(file, `#!/bin/sh\n${note}\nPATH='${path}' exec ${program} "$@"\n`);
    chmodSync(file, 0o755);
  }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tappet-curl-'));
  watchPrograms();
  writeFileSync(join(folder, "a secret's file"), `${SECRET}\n`);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

type OidcCondition = Readonly<Record<string, readonly (string | number)[]>>;

interface Running {
  readonly shell?: readonly string[];
  /** Its programs are `seen`. */
  readonly watched?: boolean;
}

/** Runs what is printed in a shell, and gives the call that came of it; `auth` as in a configuration. */
async function called(
  auth: Json,
  secret = SECRET,
  { shell = ['/bin/sh'], watched = false }: Running = {},
): Promise<Call> {
  const text = curlText({ trigger: 'deploy', url: base, source: { kind: 'webhook', auth } });
  expect(text).not.toContain(secret);
  const path = `${watched ? `${join(folder, 'bin')}:` : ''}${process.env['PATH']}`;
  const env = { PATH: path, HOOK_SECRET: secret, SECRET: secret, TOKEN: secret };
  calls.length = 0;
  writeFileSync(join(folder, 'seen'), '');
  // From its input, as it is pasted: the shell's own arguments are not what is looked at.
  const [program = '', ...words] = shell;
  const running = run(program, [...words, '-s'], { env });
  running.child.stdin?.end(text);
  await running;
  const [call] = calls;
  if (call === undefined) throw new Error(`nobody called:\n${text}`);
  expect([call.method, call.url]).toEqual(['POST', '/hooks/deploy']);
  expect(call.headers.get('content-type')).toBe('application/json');
  expect(JSON.parse(Buffer.from(call.body).toString())).toEqual({ hello: 'world' });
  return call;
}

/** Whether the gateway lets it in. */
async function letIn(auth: Json, call: Call, secret = SECRET): Promise<unknown> {
  const verify = await compileVerify(authSchema.parse(auth), {
    issuers: { get: () => Promise.reject(new Error('there is none')) },
    secrets: { resolve: async () => new SecretValue(secret) },
    clock: new SystemClock(),
    expressions: createExpressions(),
  });
  return (await verify(call)).ok;
}

const from = { env: 'HOOK_SECRET' };
const generic = { header: 'x-signature', prefix: '', encoding: 'base64' };
const token = { token: from };
/** A header carries no line breaks and no spaces: of letters alone. */
const WORD = 'a-word-of-letters';

describe('tappet triggers show --curl: what it prints is let in', () => {
  it.each<[string, Json, string?]>([
    ['none', 'none'],
    ['bearer', { bearer: token }, WORD],
    ['gitlab', { gitlab: token }, WORD],
    ['basic', { basic: { user: "o'brien", password: from } }],
    ['hmac, with nothing but its secret', { hmac: { secret: from } }],
    ['hmac in a header of its own', { hmac: { secret: from, header: 'x-digest', prefix: 'hex ' } }],
    ['hmac in base64', { hmac: { secret: from, ...generic } }],
    [
      'hmac with a time',
      {
        hmac: {
          secret: from,
          ...generic,
          timestamp: { header: 'x-time', signed: '"$v"={timestamp}:{body}' },
          tolerance: '1m',
        },
      },
    ],
    ['hmac with a time, signed as usual', { hmac: { secret: from, timestamp: { header: 'x-time' } } }],
    ['github', { hmac: { scheme: 'github', secret: from } }],
    ['stripe', { hmac: { scheme: 'stripe', secret: from } }],
    ['slack', { hmac: { scheme: 'slack', secret: from, tolerance: '1m' } }],
    ['standard-webhooks', { hmac: { scheme: 'standard-webhooks', secret: from } }, KEY],
    ['the newest of several secrets', { hmac: { scheme: 'github', secrets: [from, { env: 'OLD' }] } }],
    ['the first of several kinds', { anyOf: [{ bearer: token }, { gitlab: token }] }, WORD],
    ['addresses beside a token', { bearer: token, addresses: ['127.0.0.1'] }, WORD],
    ['a secret of the gateway', { bearer: { token: { secret: 'hook' } } }, WORD],
  ])('%s', async (_name, auth, secret = SECRET) => {
    expect(await letIn(auth, await called(auth, secret), secret)).toBe(true);
  });

  it.each([
    ['bearer', { bearer: token }, WORD],
    ['basic', { basic: { user: 'me', password: from } }, WORD],
    ['github', { hmac: { scheme: 'github', secret: from } }, WORD],
    ['a longer key', { hmac: { scheme: 'stripe', secret: from } }, WORD.repeat(9)],
    ['standard-webhooks', { hmac: { scheme: 'standard-webhooks', secret: from } }, KEY],
  ] as const)(
    '%s: the list of processes shows neither the secret nor what proves it',
    async (_, auth, secret) => {
      const { headers } = await called(auth, secret, { watched: true });
      const bytes = secret.startsWith('whsec_')
        ? Buffer.from(secret.slice(6), 'base64')
        : Buffer.from(secret);
      const digest = createHash('sha256').update(bytes).digest('hex');
      const forms = [secret, secret.slice(6), bytes.toString('hex'), bytes.toString('base64'), digest];
      const proofs = ['authorization', 'x-hub-signature-256', 'stripe-signature', 'webhook-signature'];
      const sent = proofs.flatMap(
        (name) => headers.get(name)?.replace(/^.*(?:Bearer |Basic |sha256=|v1=|v1,)/, '') ?? [],
      );
      expect(seen()).toContain('curl -sS -X POST');
      expect(sent).toHaveLength(1);
      for (const form of [...forms, ...sent]) expect(seen()).not.toContain(form);
    },
  );

  const SHELLS = [['/bin/sh'], ['/bin/bash'], ['/bin/busybox', 'sh']];
  it.each(SHELLS.filter(([program = '']) => existsSync(program)))(
    'keys of any length and bytes, in %s',
    async (...shell) => {
      // Of which the padding makes a zero and a percent sign.
      const odd = '6y\\\u0013%';
      for (const key of [odd, `${odd.repeat(12)}last`, odd.repeat(13)]) {
        const auth = { hmac: { scheme: 'github', secret: from } };
        const call = await called(auth, key, { shell });
        expect([key, await letIn(auth, call, key)]).toEqual([key, true]);
      }
    },
  );

  it('a public key: says that only who has the private key can sign, and calls nobody', async () => {
    const key = `whpk_${Buffer.alloc(32, 7).toString('base64')}`;
    const auth = { hmac: { scheme: 'standard-webhooks', secret: from } };
    const text = curlText({ trigger: 'deploy', url: base, source: { kind: 'webhook', auth } });
    const env = { PATH: String(process.env['PATH']), HOOK_SECRET: key };
    calls.length = 0;
    await expect(run('/bin/sh', ['-c', text], { env })).rejects.toMatchObject({
      stdout: '',
      stderr:
        'HOOK_SECRET is a public key (whpk_): only who has its private key can sign a call. Have that sender make one; to call by hand, put a secret of your own (whsec_) before it under "secrets" of the trigger.\n',
    });
    expect(calls).toEqual([]);
  });

  it('a secret in a file', async () => {
    const auth = { hmac: { scheme: 'github', secret: { file: join(folder, "a secret's file") } } };
    expect(await letIn(auth, await called(auth))).toBe(true);
  });

  it('by the signers’ own libraries too', async () => {
    const github = await called({ hmac: { scheme: 'github', secret: from } });
    const signature = String(github.headers.get('x-hub-signature-256'));
    expect(await verifyGithub(SECRET, Buffer.from(github.body).toString(), signature)).toBe(true);
    const standard = await called({ hmac: { scheme: 'standard-webhooks', secret: from } }, KEY);
    const webhook = new Webhook(KEY.slice('whsec_'.length));
    expect(
      webhook.verify(Buffer.from(standard.body).toString(), Object.fromEntries(standard.headers)),
    ).toEqual({ hello: 'world' });
  });

  it('a token of an issuer is asked for by name', async () => {
    const oidc = { issuer: 'google', audience: ['https://hooks.example.com'], anyone: true };
    const call = await called({ oidc }, WORD);
    expect(call.headers.get('authorization')).toBe(`Bearer ${WORD}`);
  });

  const AUDIENCE = 'https://hooks.example.com';
  const GOOGLE = `gcloud auth print-identity-token --audiences=${AUDIENCE}`;
  const GITHUB = `printf 'Authorization: bearer %s' "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" | curl --fail -sS -H @- --get --data-urlencode audience=${AUDIENCE} "$ACTIONS_ID_TOKEN_REQUEST_URL" | jq -r .value`;
  const KUBERNETES = `--audience=${AUDIENCE}`;
  it.each<[Preset, OidcCondition, string, string?]>([
    ['google', { subjects: ['1'] }, '. With gcloud:', GOOGLE],
    [
      'google',
      { emails: ['a@b.iam.gserviceaccount.com'] },
      '. With gcloud:',
      `${GOOGLE} --impersonate-service-account=a@b.iam.gserviceaccount.com --include-email`,
    ],
    [
      'github-actions',
      { repositoryIds: [1] },
      '. In a job of a workflow with "permissions: { id-token: write }":',
      GITHUB,
    ],
    [
      'kubernetes',
      { serviceAccounts: ['shop/orders'] },
      '. With kubectl:',
      `kubectl create token orders --namespace=shop ${KUBERNETES}`,
    ],
    [
      'kubernetes',
      { namespaces: ['shop'] },
      '. With kubectl:',
      `kubectl create token NAME --namespace=shop ${KUBERNETES}`,
    ],
    ['generic', { emails: ['a@b.example'] }, '. How to get one depends on the issuer.'],
  ])('where a token is had: %s, %j', (preset, condition, where, command) => {
    const auth = { anyOf: [{ oidc: { issuer: 'main', audience: AUDIENCE, ...condition } }] };
    const source = { kind: 'webhook', auth };
    const text = curlText({ trigger: 'x', url: base, source, issuers: { main: preset } });
    const told = text.split('\n').filter((line) => line.startsWith('#'));
    expect(told).toEqual([
      `# TOKEN: a signed token of the issuer "main" for the audience ${AUDIENCE}${where}`,
      ...(command === undefined ? [] : [`#   TOKEN=$(${command})`]),
    ]);
    const unknown = curlText({ trigger: 'x', url: base, source });
    expect(unknown).toContain('How to get one depends on the issuer.');
  });

  it('an auth that this version does not know is not guessed at', () => {
    const source = { kind: 'webhook', auth: { passkey: 'x' } };
    expect(() => curlText({ trigger: 'x', url: base, source })).toThrow(
      'This version of tappet does not know the auth of the trigger.',
    );
  });

  it('a body that becomes a file is sent as it lies on the disk', async () => {
    const source = { kind: 'webhook', auth: { bearer: { token: from } }, body: 'file' };
    const text = curlText({ trigger: 'deploy', url: base, source });
    writeFileSync(join(folder, 'video.mp4'), Buffer.from([0, 255, 10, 13]));
    calls.length = 0;
    const env = { PATH: String(process.env['PATH']), HOOK_SECRET: WORD };
    await run('/bin/sh', ['-c', text], { env, cwd: folder });
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({ method: 'POST', url: '/hooks/deploy' });
    expect(calls[0]?.body).toEqual(Buffer.from([0, 255, 10, 13]));
    expect(calls[0]?.headers.get('authorization')).toBe(`Bearer ${WORD}`);
    expect(calls[0]?.headers.get('content-type')).toBe('application/octet-stream');
  });

  it('a schedule is not called', () => {
    expect(() => curlText({ trigger: 'nightly', url: base, source: { kind: 'cron' } })).toThrow(
      'nightly is not called: its source is no webhook.',
    );
  });
});
