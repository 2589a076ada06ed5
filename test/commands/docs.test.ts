import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { EXIT, EXIT_CODES_HELP } from '../../src/commands/exit-codes.ts';
import { createProgram } from '../../src/commands/program.ts';
import { testIo } from '../support/cli-runner.ts';

const doc = await readFile(new URL('../../docs/cli.md', import.meta.url), 'utf8');

test('docs/cli.md and --help tell every exit code', () => {
  const codes = Object.values(EXIT).sort((a, b) => a - b);
  expect([...doc.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code))).toEqual(codes);
  expect([...EXIT_CODES_HELP.matchAll(/^ {2}(\d+) /gm)].map(([, code]) => Number(code))).toEqual(codes);
});

test('docs/cli.md names every command', () => {
  const program = createProgram(testIo());
  for (const command of program.commands) {
    const lines = doc
      .split('\n')
      .filter((line) => line.startsWith(`| \`tappet ${command.name()}`))
      .join('\n');
    expect(lines).toContain(`tappet ${command.name()}`);
    for (const verb of command.commands)
      expect(lines, `${command.name()} ${verb.name()}`).toContain(verb.name());
  }
});
