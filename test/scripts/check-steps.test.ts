import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { STEPS, runSteps, verdict } from '../../scripts/lib/check-steps.mjs';
import { tempFolder } from '../support/temp-folder.ts';

/** A step that is a real program: it ends with this code. */
function step(name: string, code: number, text = '') {
  const program = join(tempFolder(), `${name}.mjs`);
  writeFileSync(program, `console.log(${JSON.stringify(text)}); process.exitCode = ${code};`);
  return { name, program, args: [] };
}

/** What the lines say without their seconds. */
const untimed = (text: string): string => text.replace(/ +\d+\.\d s/g, '');

describe('the steps of npm run check', () => {
  it('are these, and their programs are there', () => {
    const names = ['tests', 'lint', 'format', 'schema', 'imports', 'unused'];
    expect(STEPS.map(({ name }) => name)).toEqual(names);
    expect(STEPS.filter(({ program }) => !existsSync(program))).toEqual([]);
    const args = Object.fromEntries(STEPS.map((one) => [one.name, one.args.join(' ')]));
    expect(args['tests']).toBe('run --project unit --project contract --maxWorkers=100%');
    // The types are checked where they are known anyway.
    expect(args['lint']).toMatch(/--type-aware .*--type-check/);
    expect([args['schema'], args['format']].every((one) => one?.includes('--check'))).toBe(true);
  });

  it('run to their end whatever becomes of the others; what failed shows its output, what passed does not', async () => {
    let printed = '';
    const steps = [
      step('one', 0, 'quiet'),
      step('two', 3, 'two is wrong'),
      step('three', 0),
      step('four', 1),
    ];
    const results = await runSteps(steps, (text) => (printed += text));
    const passed = Object.fromEntries(results.map((result) => [result.name, result.passed]));
    expect(passed).toEqual({ one: true, two: false, three: true, four: false });
    expect(untimed(printed)).toContain('FAIL two\ntwo is wrong\n');
    expect(untimed(printed)).toContain('ok   one\n');
    expect(printed).not.toContain('quiet');
  });

  it('have failed where a program could not be started or was killed', async () => {
    const killed = step('killed', 0);
    writeFileSync(killed.program, "process.kill(process.pid, 'SIGKILL');");
    const absent = { name: 'absent', program: '/nowhere/tool.mjs', args: [] };
    const results = await runSteps([killed, absent], () => undefined);
    expect(results.map(({ passed }) => passed)).toEqual([false, false]);
  });

  it('run with what they set, beside what is set already', async () => {
    const set = { ...step('set', 0), env: { GOGC: 'off' } };
    writeFileSync(set.program, "process.exitCode = process.env.GOGC === 'off' && process.env.PATH ? 0 : 1;");
    await expect(runSteps([set], () => undefined)).resolves.toMatchObject([{ passed: true }]);
  });
});

describe('the last line of npm run check', () => {
  const types = { name: 'types', passed: true, ms: 9_000 };
  const tests = { name: 'tests', passed: true, ms: 50_000 };

  it('names what failed', () => {
    expect(verdict([types, tests], 51_000)).toBe('check: all passed in 51.0 s');
    const failed = [{ ...types, passed: false }, tests];
    expect(verdict(failed, 51_000)).toBe('check: failed: types in 51.0 s');
  });

  it('says when it took more than a minute, and which step took longest', () => {
    expect(verdict([types, tests], 60_000)).not.toContain('budget');
    expect(verdict([types, tests], 60_100)).toBe(
      'check: all passed in 60.1 s, over its budget of 60.0 s; the longest step is tests with 50.0 s',
    );
  });
});
