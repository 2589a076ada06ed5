import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Decision } from '../../src/core/decision.ts';
import type { StoredEvent } from '../../src/core/event.ts';
import type { Execution } from '../../src/core/execution.ts';
import { createTestApp, ROOT_TOKEN } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';

/** A request of a browser: no token. */
function get(
  t: TestApp,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Response> {
  const request = new Request(`http://gateway.test:8080${path}`, { method, headers });
  return t.app.fetch(request, { remoteAddress: '127.0.0.1' });
}

/** The cookie of a new session. */
async function opened(t: TestApp): Promise<string> {
  const response = await get(t, `/?code=${t.deps.sessions.newCode().code}`);
  return (response.headers.get('set-cookie') ?? '').split(';', 1)[0] ?? '';
}

async function textOf(t: TestApp, path: string): Promise<string> {
  const response = await get(t, path, { cookie: await opened(t) });
  expect(response.status).toBe(200);
  return (await response.text())
    .replace(/<style>.*<\/style>/s, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ');
}

const execution = async (t: TestApp, over: Partial<Execution> = {}): Promise<Execution> => {
  const { name } = (await (await t.call('POST', '/api/v1/jobs/hello:run')).json()) as { name: string };
  return t.store.update(name, over);
};

function addEvent(t: TestApp, uid: string, over: Partial<StoredEvent> = {}): void {
  const event = {
    specversion: '1.0',
    id: `id-${uid}`,
    source: '/s',
    type: 'a.type',
    time: '2026-01-01T00:00:00Z',
  } as const;
  const now = t.clock.now();
  t.store.events.unshift({
    uid,
    origin: 'trigger/build',
    trigger: null,
    event,
    claims: null,
    verdict: null,
    receiveTime: now,
    decideTime: now,
    duplicates: 0,
    ...over,
  });
}

function addDecision(t: TestApp, over: Partial<Decision>): void {
  t.store.decisions.push({
    event: 'e1',
    trigger: 'build',
    outcome: 'filtered',
    reason: '`event.data.ok` is false',
    clause: 'event.data.ok',
    values: { 'event.data.ok': false },
    execution: null,
    decideTime: t.clock.now(),
    ...over,
  });
}

test('a link sets a cookie, leads to the page without its code, and works once', async () => {
  const t = createTestApp();
  const { code } = t.deps.sessions.newCode();
  const response = await get(t, `/?code=${code}`);
  expect(response.status).toBe(303);
  expect(response.headers.get('location')).toBe('/');
  expect(response.headers.get('set-cookie')).toMatch(
    /^tappet-8080=[0-9a-z]{26}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/,
  );
  const again = await get(t, `/?code=${code}`);
  expect(again.status).toBe(401);
  expect(again.headers.get('set-cookie')).toBeNull();
  expect(await again.text()).toContain('This link was used before');
});

test('with a session an old link leads to the page', async () => {
  const t = createTestApp();
  const cookie = await opened(t);
  const response = await get(t, '/?code=used', { cookie });
  expect([response.status, response.headers.get('set-cookie')]).toEqual([303, null]);
});

test('where the browser speaks https the cookie is secure, bound to the host, and the only one that counts', async () => {
  const t = createTestApp();
  const https = { 'x-forwarded-proto': 'https' };
  const response = await get(t, `/?code=${t.deps.sessions.newCode().code}`, https);
  const set = response.headers.get('set-cookie') ?? '';
  expect(set).toMatch(/^__Host-tappet-8080=\w+; Max-Age=43200; Path=\/; HttpOnly; Secure; SameSite=Strict$/);
  const cookie = set.split(';', 1)[0] ?? '';
  expect((await get(t, '/', { ...https, cookie })).status).toBe(200);
  expect((await get(t, '/', { ...https, cookie: cookie.replace('__Host-', '') })).status).toBe(401);
});

test('a link that another site leads to goes on by a page of ours, which a strict cookie goes along with', async () => {
  const t = createTestApp();
  const { code } = t.deps.sessions.newCode();
  const response = await get(t, `/?code=${code}`, { 'sec-fetch-site': 'cross-site' });
  expect(response.status).toBe(200);
  expect(response.headers.get('set-cookie')).toContain('tappet-8080=');
  const page = await response.text();
  expect(page).toContain('http-equiv="refresh" content="0;url=/"');
  expect(page).not.toContain(code);
});

test('HEAD uses no code up', async () => {
  const t = createTestApp();
  const { code } = t.deps.sessions.newCode();
  expect((await get(t, `/?code=${code}`, {}, 'HEAD')).status).toBe(401);
  expect((await get(t, `/?code=${code}`)).status).toBe(303);
});

const PAGES = ['/', '/executions/hello-1', '/executions/hello-1/tasks/0/attempts/0/log', '/events/e1'];

test.each(PAGES)(
  '%s lets in neither a token nor a wrong cookie, and says how to get a link',
  async (path) => {
    const t = createTestApp();
    const answers = [
      await get(t, path),
      await get(t, path, { authorization: `Bearer ${ROOT_TOKEN}` }),
      await get(t, path, { cookie: 'tappet-8080=' }),
      await get(t, path, { cookie: `tappet-8080=${'0'.repeat(26)}` }),
      await get(t, path, { cookie: (await opened(t)).replace('8080', '9090') }),
    ];
    const pages = await Promise.all(answers.map(async (one) => `${one.status} ${await one.text()}`));
    expect(new Set(pages).size).toBe(1);
    expect(pages[0]).toMatch(/^401 .*tappet link/s);
  },
);

test('the API takes no cookie', async () => {
  const t = createTestApp();
  const cookie = await opened(t);
  for (const { method, path } of t.app.routes.filter((one) => one.path.startsWith('/api/'))) {
    const real = path
      .replace(/:name\{\[\^\/\]\+(:\w+)\}/, 'hello$1')
      .replace(/:(\w+)(\{[^}]*\})?/g, (word, name) =>
        name === 'name' ? 'hello' : name === 'index' || name === 'uid' ? '0' : word,
      );
    const response = await get(t, real, { cookie }, method);
    expect([real, response.status]).toEqual([real, 401]);
  }
});

test('a session may see what its link’s token may see; the page names what is missing', async () => {
  const t = createTestApp();
  const made = await t.call('POST', '/api/v1/links', {
    headers: { authorization: 'Bearer tappet.links.create,run.executions.list' },
  });
  const { code, expireTime } = (await made.json()) as { code: string; expireTime: string };
  expect(expireTime).toBe('2026-01-01T00:10:00.000Z');
  const cookie = ((await get(t, `/?code=${code}`)).headers.get('set-cookie') ?? '').split(';', 1)[0] ?? '';
  const response = await get(t, '/', { cookie });
  expect(response.status).toBe(403);
  expect(await response.text()).toContain('eventarc.triggers.list');
});

test('every page forbids scripts, frames, storing and telling where one came from; its style is named by its hash', async () => {
  const t = createTestApp();
  const { name } = await execution(t);
  const cookie = await opened(t);
  for (const [path, headers] of [
    ['/', { cookie }],
    [`/executions/${name}`, { cookie }],
    ['/events/none', { cookie }],
    ['/', {}],
  ] as const) {
    const response = await get(t, path, { ...headers });
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(
      /^default-src 'none'; style-src 'sha256-\S+'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
    );
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    });
    const page = await response.text();
    const styles = [...page.matchAll(/<style>(.*?)<\/style>/gs)].map(([, css = '']) => css);
    expect(styles.map((css) => createHash('sha256').update(css).digest('base64'))).toEqual([
      /sha256-([^']+)/.exec(policy)?.[1],
    ]);
    expect(page).not.toMatch(/<script|\son\w+=|\sstyle=/i);
  }
});

test('the overview says what ran and why, what comes next, what started nothing and why, and what waits', async () => {
  const failed = [
    { name: 'store', kind: 'storage', state: 'failed', message: 'The store does not answer.', since: 0 },
  ];
  const t = createTestApp({
    status: async () => ({
      engine: { state: 'ready', message: 'Docker answers.', warnings: ['No limits on cpu.'] },
      sources: { running: 2, failed },
      runningExecutions: 1,
      pendingExecutions: 3,
      undecidedEvents: 0,
    }),
  });
  const now = t.clock.now();
  const counters = { running: 0, succeeded: 0, failed: 1, cancelled: 0, retried: 0 };
  const { name } = await execution(t, {
    state: 'FAILED',
    message: 'Task 0 failed.',
    startTime: now - 60_000,
    completionTime: now - 48_000,
    cause: { kind: 'event', event: 'e0', trigger: 'build' },
    counters,
  });
  addEvent(t, 'e0');
  addDecision(t, {
    event: 'e0',
    outcome: 'matched',
    reason: '`event.data.ok` is true',
    values: { 'event.data.ok': true },
    execution: name,
  });
  await execution(t);
  addEvent(t, 'e1');
  addDecision(t, {});
  addEvent(t, 'e2');
  addEvent(t, 'e3', { origin: 'execution' });
  addEvent(t, 'e4', { decideTime: null });
  const text = await textOf(t, '/');
  expect(text).toContain(
    `${name} job hello FAILED Task 0 failed. trigger build, its event event.data.ok is true (event.data.ok is true) 60 s ago 12 s 0 of 1 done, 1 failed`,
  );
  expect(text).toContain('PENDING root asked for it not yet – 0 of 1 done');
  expect(text).toContain('nightly hello in 60 s 2026-01-01 00:01:00 UTC * * * * * UTC');
  expect(text).toContain(
    'id-e1 a.type trigger/build 1 s ago filtered build: event.data.ok is false (event.data.ok is false)',
  );
  expect(text).toContain('id-e2 a.type trigger/build 1 s ago No trigger listens for such an event.');
  expect(text).not.toMatch(/id-e0|id-e3|id-e4/);
  expect(text).toContain(
    'engine ready Docker answers. 1 execution running · 3 waiting · 0 events to decide · 2 sources at work, 1 cannot work now storage store waits: The store does not answer.',
  );
  expect(text).toContain('No limits on cpu.');
});

test('the overview says how much was there before a trigger, and nothing where there was none', async () => {
  const t = createTestApp({
    triggerStatus: () => ({ firstStart: t.clock.now() - 120_000, existing: { skipped: 1234, complete } }),
  });
  let complete = false;
  const text = await textOf(t, '/');
  expect(text).toContain('There before their trigger');
  expect(text).toContain('nightly 1234 so far 2 min ago');
  complete = true;
  expect(await textOf(t, '/')).toContain('nightly 1234 2 min ago');
  const none = createTestApp({
    triggerStatus: () => ({ firstStart: 0, existing: { skipped: 0, complete: true } }),
  });
  expect(await textOf(none, '/')).not.toContain('There before');
});

test('the overview goes on to earlier executions, and reads itself anew unless it is told to hold still', async () => {
  const t = createTestApp();
  for (let i = 0; i < 27; i++) await execution(t);
  const cookie = await opened(t);
  const page = await (await get(t, '/', { cookie })).text();
  expect(page).toContain('http-equiv="refresh" content="10;url=/"');
  const more = /href="(\/\?pageToken=[^"]+)"/.exec(page)?.[1] ?? '';
  const earlier = await (await get(t, more, { cookie })).text();
  expect(earlier.match(/href="\/executions\//g)).toHaveLength(2);
  expect(earlier).not.toContain('http-equiv="refresh"');
  expect(await (await get(t, '/?refresh=off', { cookie })).text()).not.toContain('http-equiv="refresh"');
  expect((await get(t, '/?pageToken=nowhere&x=1', { cookie })).status).toBe(400);
});

test('an execution shows its cause, each attempt with reason and message, and its log', async () => {
  const t = createTestApp();
  const now = t.clock.now();
  const { name } = await execution(t, {
    state: 'RUNNING',
    startTime: now - 5000,
    cause: { kind: 'event', event: 'e1', trigger: 'build' },
  });
  addDecision(t, { outcome: 'matched', reason: 'It matched.', values: null, execution: name });
  t.store.setTask(name, 0, { state: 'RUNNING', attempts: 2, message: 'Its second try.' });
  const first = { execution: name, index: 0, attempt: 0 };
  t.store.setAttempt(first, {
    state: 'FAILED',
    reason: 'NON_ZERO_EXIT_CODE',
    message: 'It ended with exit code 3.',
    exitCode: 3,
    startTime: now - 4000,
    endTime: now - 2500,
  });
  t.store.setAttempt({ ...first, attempt: 1 }, { state: 'RUNNING', startTime: now - 1000 });
  t.logs.push(first, 'stdout', '\nfirst line\n');
  t.logs.push(first, 'stderr', 'oops\n');
  const text = await textOf(t, `/executions/${name}`);
  expect(text).toContain('trigger build, its event It matched.');
  expect(text).toContain('Task 0 RUNNING Its second try.');
  expect(text).toMatch(
    /0 FAILED It ended with exit code 3\. NON_ZERO_EXIT_CODE · exit code 3 · \S+ 4 s ago 1\.5 s/,
  );
  expect(text).toMatch(/1 RUNNING It has not ended\. \S+ 1 s ago 1 s so far/);
  expect(text).toContain('first line oops');
  const page = await (await get(t, `/executions/${name}`, { cookie: await opened(t) })).text();
  expect(page).toContain(`content="5;url=/executions/${name}"`);
  expect(page).toContain('<span>\nfirst line\n</span><span class="err">oops\n</span>');
});

test('a log is read by its end, or piece by piece from the start', async () => {
  const t = createTestApp();
  const { name } = await execution(t);
  const key = { execution: name, index: 0, attempt: 0 };
  t.store.setAttempt(key, { state: 'SUCCEEDED' });
  const line = (i: number): string => `line ${String(i).padStart(4, '0')} ${'x'.repeat(1000)}\n`;
  for (let i = 0; i < 200; i++) t.logs.push(key, 'stdout', line(i));
  const cookie = await opened(t);
  const path = `/executions/${name}/tasks/0/attempts/0/log`;
  const end = await (await get(t, path, { cookie })).text();
  expect(end).toContain('line 0199');
  expect(end).toContain('What came before is left out.');
  expect(end).not.toContain('line 0100');
  const seen: string[] = [];
  for (let next: string | undefined = `${path}?from=start`; next !== undefined;) {
    const page: string = await (await get(t, next, { cookie })).text();
    seen.push(...[...page.matchAll(/line (\d{4}) /g)].map(([, number = '']) => number));
    next = /href="([^"]+after=\d+)"/.exec(page)?.[1];
  }
  expect(seen).toEqual(Array.from({ length: 200 }, (_, i) => String(i).padStart(4, '0')));
});

test('an event shows what came, cut where it is long, and the answer of each trigger', async () => {
  const t = createTestApp();
  const event = {
    specversion: '1.0',
    id: 'i',
    source: '/s',
    type: 'a.type',
    time: '2026-01-01T00:00:00Z',
    subject: 'a thing',
    extensions: { custom: 7 },
    data: { text: `start${'y'.repeat(100_000)}end` },
  } as const;
  addEvent(t, 'e1', { event, claims: { email: 'a@example.com' }, duplicates: 2 });
  addDecision(t, { trigger: 'one' });
  addDecision(t, {
    trigger: 'two',
    outcome: 'failed',
    reason: 'It could not be rendered.',
    clause: 'event.data.none',
  });
  const text = await textOf(t, '/events/e1');
  expect(text).toContain('custom 7');
  expect(text).toContain('The same event came 2 times more, and counts once.');
  expect(text).toContain('one filtered event.data.ok is false (event.data.ok is false) none');
  expect(text).toContain(
    'two failed It could not be rendered. (event.data.ok is false) event.data.none none',
  );
  expect(text).toContain('startyyy');
  expect(text).not.toContain('yyyend');
  expect(text).toContain('a@example.com');
  expect(text.length).toBeLessThan(20_000);
});

test.each([
  ['/executions/none', 404, 'There is no execution'],
  ['/executions/none/tasks/0/attempts/0/log', 404, 'There is no execution'],
  ['/events/none', 404, 'There is no event'],
  ['/?x=1', 400, 'x'],
])('%s is %i, in words', async (path, status, words) => {
  const t = createTestApp();
  const response = await get(t, path, { cookie: await opened(t) });
  expect(response.status).toBe(status);
  expect(response.headers.get('content-type')).toContain('text/html');
  expect(await response.text()).toContain(words);
});

test('what goes wrong inside is told by its number alone', async () => {
  const t = createTestApp({ status: () => Promise.reject(new Error('the secret reason')) });
  const response = await get(t, '/', { cookie: await opened(t) });
  expect(response.status).toBe(500);
  const page = await response.text();
  expect(page).not.toContain('secret reason');
  const number = /urn:uuid:[\w-]+/.exec(page)?.[0] ?? 'none';
  expect(t.logged.join('\n')).toContain(number);
});
