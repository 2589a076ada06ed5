import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';

const SAY = join(import.meta.dirname, '../../scripts/lib/say.mjs');
const PROGRAM = `
  const { consent } = await import(process.env.SAY);
  for (let times = Number(process.env.TIMES); times > 0; times--) {
    const goOn = await consent('installing the Debian packages a, b');
    console.log('in the end: ' + (goOn ? 'goes on' : 'stops'));
  }
  process.exit(0);`;
const QUESTION = 'Go on? [Y/n]';

interface Run {
  /** What is typed when the question has come, time after time; without, there is no terminal. */
  readonly typed?: readonly string[];
  readonly args?: readonly string[];
  readonly ci?: string;
}

/** Runs the question in a program of its own, on a pseudo terminal of util-linux's `script`. */
function ask({ typed, args = [], ci }: Run): Promise<string> {
  const { CI: _, ...rest } = process.env;
  const times = String(typed?.length ?? 1);
  const env = { ...rest, SAY, PROGRAM, TIMES: times, ...(ci === undefined ? {} : { CI: ci }) };
  const node = [process.execPath, '--input-type=module', '-e', PROGRAM, '--', ...args];
  const inner = `"${process.execPath}" --input-type=module -e "$PROGRAM" -- ${args.join(' ')}`;
  const terminal =
    process.platform === 'linux'
      ? ['script', '-qec', inner, '/dev/null']
      : ['script', '-q', '/dev/null', ...node];
  const [program = '', ...rest2] = typed === undefined ? node : terminal;
  const child = spawn(program, rest2, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  let asked = 0;
  const read = (chunk: Buffer) => {
    output += chunk.toString();
    while (asked < output.split(QUESTION).length - 1) child.stdin.write(`${typed?.[asked++] ?? ''}\n`);
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve(output));
  });
}

describe('on a terminal', () => {
  const answers = ['', 'y', 'Yes', 'n', 'what?'];
  let parts: string[] = [];
  beforeAll(async () => {
    // One program for all of them: to start one takes longer than to ask.
    const output = await ask({ typed: answers });
    parts = output.split(/(?<=in the end: .*)\r?\n/);
  });

  it.each([
    ['', 'goes on'],
    ['y', 'goes on'],
    ['Yes', 'goes on'],
    ['n', 'stops'],
    ['what?', 'stops'],
  ])('asks on a terminal; the answer "%s": %s', (typed, verdict) => {
    const part = parts[answers.indexOf(typed)];
    expect(part).toContain(`set-up: installing the Debian packages a, b`);
    expect(part).toContain(QUESTION);
    expect(part).toContain(typed);
    expect(part).toMatch(new RegExp(`in the end: ${verdict}$`));
  });
});

it.each<[string, Run]>([
  ['with --yes', { typed: ['n'], args: ['--yes'] }],
  ['with CI=1', { typed: ['n'], ci: '1' }],
  ['with CI=true', { typed: ['n'], ci: 'true' }],
  ['without a terminal', {}],
])('says what it does and goes on %s', async (_, how) => {
  const output = await ask(how);
  expect(output).toContain('set-up: installing the Debian packages a, b');
  expect(output).not.toContain('Go on?');
  expect(output).toContain('goes on');
});
