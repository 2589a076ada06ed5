import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const SAY = join(import.meta.dirname, '../../scripts/lib/say.mjs');
const PROGRAM = `
  const { consent } = await import(process.env.SAY);
  const goOn = await consent('installing the Debian packages a, b');
  console.log(goOn ? 'goes on' : 'stops');
  process.exit(0);`;
const QUESTION = 'Go on? [Y/n]';

interface Run {
  /** What is typed when the question has come; without, there is no terminal. */
  readonly typed?: string;
  readonly args?: readonly string[];
  readonly ci?: string;
}

/** Runs the question in a program of its own, on a pseudo terminal of util-linux's `script`. */
function ask({ typed, args = [], ci }: Run): Promise<string> {
  const { CI: _, ...rest } = process.env;
  const env = { ...rest, SAY, PROGRAM, ...(ci === undefined ? {} : { CI: ci }) };
  const node = [process.execPath, '--input-type=module', '-e', PROGRAM, '--', ...args];
  const inner = `"${process.execPath}" --input-type=module -e "$PROGRAM" -- ${args.join(' ')}`;
  const terminal =
    process.platform === 'linux'
      ? ['script', '-qec', inner, '/dev/null']
      : ['script', '-q', '/dev/null', ...node];
  const [program = '', ...rest2] = typed === undefined ? node : terminal;
  const child = spawn(program, rest2, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  const read = (chunk: Buffer) => {
    const before = output.includes(QUESTION);
    output += chunk.toString();
    if (!before && output.includes(QUESTION)) child.stdin.write(`${typed ?? ''}\n`);
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve(output));
  });
}

it.each([
  ['', 'goes on'],
  ['y', 'goes on'],
  ['Yes', 'goes on'],
  ['n', 'stops'],
  ['what?', 'stops'],
])('asks on a terminal; the answer "%s": %s', async (typed, verdict) => {
  const output = await ask({ typed });
  expect(output).toContain(`set-up: installing the Debian packages a, b`);
  expect(output).toContain(QUESTION);
  expect(output).toContain(verdict);
});

it.each<[string, Run]>([
  ['with --yes', { typed: 'n', args: ['--yes'] }],
  ['with CI=1', { typed: 'n', ci: '1' }],
  ['with CI=true', { typed: 'n', ci: 'true' }],
  ['without a terminal', {}],
])('says what it does and goes on %s', async (_, how) => {
  const output = await ask(how);
  expect(output).toContain('set-up: installing the Debian packages a, b');
  expect(output).not.toContain('Go on?');
  expect(output).toContain('goes on');
});
