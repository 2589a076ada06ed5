import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CloudEvent } from '../../src/core/event.ts';
import { createTestApp } from '../support/http-fakes.ts';
import { anyCharacter } from '../support/texts.ts';

const PIECES = [
  '<script>alert(1)</script>',
  '</pre>',
  '</style>',
  '</title>',
  '<img src=x onerror=alert(1)>',
  '<!--',
  '-->',
  ']]>',
  '"',
  "'",
  '&',
  '&lt;',
  '&#60;',
  '<',
  '>',
  '" onmouseover="alert(1)',
  "' x='",
  '</td></tr></table>',
  '${{ 1 }}',
  '%3Cscript%3E',
  'javascript:alert(1)',
  '\u2028',
  '\u202e',
  '\u0000',
  '\u001b[31m',
  '\r\n',
  '\n',
  '\ud800',
  '<svg/onload=alert(1)>',
  '`',
  '\\',
  '{{x}}',
];
/** Never empty: what is not there is left out, and that is no attack. */
const hostile = fc
  .array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: anyCharacter, maxLength: 6 })), {
    maxLength: 6,
  })
  .map((parts) => `x${parts.join('')}x`);

interface Pages {
  readonly [path: string]: string;
}

/** Every page, with `word` wherever somebody outside (a sender, a program in a container, an engine) has a say. */
async function pagesWith(word: string): Promise<Pages> {
  const t = createTestApp({
    status: async () => ({
      engine: { state: word, message: word, warnings: [word] },
      sources: { running: 1, failed: [{ name: word, kind: word, message: word, since: 1 }] },
    }),
  });
  const { name } = (await (await t.call('POST', '/api/v1/jobs/hello:run')).json()) as { name: string };
  const before = t.store.executions[0];
  if (before === undefined) throw new Error('nothing runs');
  t.store.update(name, {
    job: word,
    message: word,
    cause: { kind: 'event', event: 'e1', trigger: word },
    spec: { ...before.spec, image: word, args: [word] },
  });
  await t.call('POST', '/api/v1/jobs/hello:run');
  t.store.update(t.store.executions[0]?.name ?? '', { cause: { kind: 'api', principal: word } });
  t.store.setTask(name, 0, { message: word, state: 'FAILED' });
  const key = { execution: name, index: 0, attempt: 0 };
  t.store.setAttempt(key, { message: word, containerName: word, signal: word, state: 'FAILED' });
  t.logs.push(key, 'stdout', word);
  t.logs.push(key, 'stderr', word);
  const event: CloudEvent = {
    specversion: '1.0',
    id: word,
    source: word,
    type: word,
    time: word,
    subject: word,
    datacontenttype: word,
    extensions: { [`z${word}`]: word },
    data: { [word]: [word] },
  };
  const rest = {
    origin: word,
    trigger: null,
    verdict: null,
    receiveTime: 0,
    decideTime: 0,
    duplicates: 1,
    claims: { [word]: word },
  };
  const decision = {
    trigger: word,
    outcome: 'filtered',
    reason: word,
    clause: `y${word}`,
    values: { [word]: word },
    decideTime: 0,
  } as const;
  for (const uid of ['e1', 'e2']) {
    t.store.events.push({ uid, event, ...rest });
    t.store.decisions.push({ event: uid, execution: uid === 'e1' ? name : null, ...decision });
  }
  const session = t.deps.sessions.begin(t.deps.sessions.newCode().code) ?? '';
  const paths = ['/', `/executions/${name}`, `/executions/${name}/tasks/0/attempts/0/log`, '/events/e1'];
  const entries = paths.map(async (path) => {
    const request = new Request(`http://gateway.test${path}`, { headers: { cookie: `tappet=${session}` } });
    const response = await t.app.fetch(request, { remoteAddress: '' });
    return [path.replace(name, 'NAME'), await response.text()] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** The tags with the names of their attributes, as a parser meets them; a quoted expression may be marked as code. */
function skeleton(page: string): readonly string[] {
  const tags = page.replace(/<style>.*?<\/style>/s, '<style>').match(/<[a-z!/][^>]*>/gi) ?? [];
  return tags
    .map((tag) => tag.replace(/"[^"]*"/g, '""').replace(/\s+/g, ' '))
    .filter((tag) => !/^<\/?code>$/.test(tag));
}

// oxlint-disable-next-line no-control-regex
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e]/;

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', '#39': "'", amp: '&' };
const shownText = (page: string): string =>
  page.replace(/<[^>]*>/g, '').replace(/&(lt|gt|quot|#39|amp);/g, (_, name: string) => ENTITIES[name] ?? '');

test('whatever outsiders write, no page has another tag or attribute for it', async () => {
  const tame = await pagesWith('xtamex');
  expect(Object.values(tame).every((page) => page.includes('xtamex'))).toBe(true);
  const expected = Object.entries(tame).map(([path, page]) => [path, skeleton(page)]);
  await fc.assert(
    fc.asyncProperty(hostile, async (word) => {
      const pages = await pagesWith(word);
      expect(Object.entries(pages).map(([path, page]) => [path, skeleton(page)])).toEqual(expected);
      // Nothing that moves a cursor, turns the direction of writing or ends a line for some readers only.
      for (const page of Object.values(pages)) expect(page).not.toMatch(UNSEEN);
    }),
    { numRuns: 60 },
  );
});

test('hostile text is shown as it is', async () => {
  const word = `x<b title="a">&amp;'</b>x`;
  for (const page of Object.values(await pagesWith(word))) expect(shownText(page)).toContain(word);
});

test('characters that nobody would see are written out', async () => {
  const page = (await pagesWith('x\u0000\u001b\u202e\u2066x'))['/events/e1'] ?? '';
  expect(page).toContain(String.raw`x\x00\x1b\u202e\u2066x`);
});
