import { PassThrough } from 'node:stream';
import { beforeEach, expect, test } from 'vitest';
import type { CliIo } from '../../src/commands/io.ts';
import { readAnswer } from '../../src/commands/read-secret.ts';
import { TappetError } from '../../src/core/errors.ts';
import { cli } from '../support/cli-runner.ts';
import { createTestApp, ROOT_TOKEN } from '../support/http-fakes.ts';

const AWAY = '/run/away.sock';
const forgotten: string[] = [];
let refusal: TappetError | undefined;
let ended = 2;
beforeEach(() => {
  ended = 2;
  forgotten.length = 0;
  refusal = undefined;
});

function run(args: readonly string[], over: Partial<CliIo> = {}) {
  const t = createTestApp({
    engines: {
      list: async () => [{ engine: AWAY, openAttempts: 2 }],
      forget: async (engine) => {
        if (refusal !== undefined) throw refusal;
        forgotten.push(engine);
        return ended;
      },
    },
  });
  return cli(['engines', ...args], {
    env: { TAPPET_URL: 'http://gateway.test', TAPPET_TOKEN: ROOT_TOKEN },
    fetch: (url, init) => t.app.fetch(new Request(url, init), { remoteAddress: '' }),
    ...over,
  });
}

test('engines list shows how much is open on each', async () => {
  expect(await run(['list'])).toEqual({ code: 0, err: '', out: `NAME            OPEN\n${AWAY}  2\n` });
});

test('engines forget --yes says how much has ended', async () => {
  const { code, out, err } = await run(['forget', AWAY, '--yes', '-o', 'json']);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toEqual({ engine: AWAY, endedAttempts: 2 });
  expect(err).toMatch(
    /^2 attempts have ended as CONTAINER_LOST\. When you know that nothing runs there any more,/,
  );
  expect(forgotten).toEqual([AWAY]);
});

test('engines forget that had nothing left to end says nothing of what to run again', async () => {
  ended = 0;
  const { err } = await run(['forget', AWAY, '--yes']);
  expect(err).toBe('0 attempts have ended as CONTAINER_LOST.\n');
});

test('engines forget asks, and says of how much', async () => {
  const questions: string[] = [];
  const ask = (answer: string) => async (question: string) => (questions.push(question), answer);
  const no = await run(['forget', AWAY], { ask: ask('y') });
  expect(no).toMatchObject({ code: 1, out: '' });
  expect(no.err).toMatch(/^2 attempts are open on \/run\/away\.sock\. [^]*\nNothing was changed\.\n$/);
  expect(forgotten).toEqual([]);
  expect(await run(['forget', AWAY], { ask: ask('yes ') })).toMatchObject({ code: 0 });
  expect(forgotten).toEqual([AWAY]);
  expect(questions).toHaveLength(2);
});

test('engines forget without --yes, where nobody can be asked, forgets nothing', async () => {
  const { code, err } = await run(['forget', AWAY]);
  expect(code).toBe(2);
  expect(err).toContain('--yes');
  expect(forgotten).toEqual([]);
});

test('engines forget of an unknown engine asks nobody', async () => {
  const { code, err } = await run(['forget', '/run/awya.sock'], { ask: () => Promise.reject(new Error()) });
  expect(code).toBe(4);
  expect(err).toContain('No attempt is open on a container engine "/run/awya.sock".');
  expect(err).toContain('tappet engines list');
});

test('engines forget of one that answers is told why not', async () => {
  refusal = new TappetError('CONFLICT', 'It may not be gone.', { fix: 'Shut it down.' });
  const { code, err } = await run(['forget', AWAY, '--yes']);
  expect({ code, err }).toEqual({ code: 1, err: 'error: It may not be gone.\nShut it down.\n' });
});

test('a question is put to a terminal alone, and what is typed can be seen', async () => {
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => undefined });
  const output = new PassThrough();
  const signal = new AbortController().signal;
  const asked = readAnswer({ input, output, signal }, 'Sure? ');
  input.write('yes\r');
  expect(await asked).toBe('yes');
  expect(String(output.read())).toMatch(/Sure\? .*yes/s);
  expect(await readAnswer({ input: new PassThrough(), output, signal }, 'Sure? ')).toBeUndefined();
});

test.each([
  ['Ctrl-D', (input: PassThrough) => void input.write('\u0004'), { value: '' }],
  ['Ctrl-C', (input: PassThrough) => void input.write('\u0003'), { reason: { code: 130 } }],
  ['a signal', (_: PassThrough, interrupt: AbortController) => interrupt.abort(), { reason: { code: 130 } }],
])('a question that %s ends leaves the line', async (_name, end, result) => {
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => undefined });
  const output = new PassThrough();
  const interrupt = new AbortController();
  const asked = readAnswer({ input, output, signal: interrupt.signal }, 'Sure? ');
  end(input, interrupt);
  expect(await Promise.allSettled([asked])).toMatchObject([result]);
  expect(String(output.read())).toMatch(/Sure\? [^\n]*\n$/);
});
