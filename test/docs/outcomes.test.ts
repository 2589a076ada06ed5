import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ATTEMPT_REASONS, HALT_REASONS } from '../../src/core/execution.ts';
import type { AttemptReason, Execution } from '../../src/core/execution.ts';
import { nextStep } from '../../src/core/retry.ts';
import { Rig } from '../support/executor-rig.ts';
import { isSaidOf, namesCause } from '../support/outcome-forms.ts';
import { HALTED, messageOf } from '../support/outcomes.ts';

const page = await readFile(new URL('../../docs/outcomes.md', import.meta.url), 'utf8');
/** The cells of each row of the table below a heading. */
function rows(heading: string): string[][] {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  return [...section.matchAll(/^\| `.*$/gm)].map(([line]) =>
    line
      .slice(1, -1)
      .split(' | ')
      .map((cell) => cell.trim()),
  );
}
const attempts = new Map(
  rows('Attempts').map(([reason = '', ...cells]) => [reason.replaceAll('`', ''), cells]),
);
const executions = new Map(
  rows('Executions').map(([reason = '', ...cells]) => [reason.replaceAll('`', ''), cells]),
);

const FAILURES = ATTEMPT_REASONS.filter((reason) => reason !== 'EXITED_ZERO' && reason !== 'CANCELLED');

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());

describe('docs/outcomes.md, attempts', () => {
  it('has a row for every reason, and no other', () => {
    expect([...attempts.keys()].sort()).toEqual([...ATTEMPT_REASONS].sort());
  });

  it.each(ATTEMPT_REASONS)('%s: the example is what the code says', async (reason) => {
    expect(await messageOf(rig, reason)).toBe(attempts.get(reason)?.at(-1));
  });

  it.each(FAILURES)('%s: the example is of the form that each failure of a test is held to', (reason) => {
    const example = attempts.get(reason)?.at(-1) ?? '';
    expect(isSaidOf(reason, example)).toBe(true);
    expect(namesCause(reason, `FAILED: Task 3 failed after 2 retries: ${example}`)).toBe(true);
    for (const words of ['', '.', 'null', 'undefined.', example.replace(/\w+/g, 'undefined')])
      expect(namesCause(reason, `FAILED: Task 3 failed: ${words}`), words).toBe(false);
  });

  it.each(ATTEMPT_REASONS)('%s: says whether it is tried again', (reason) => {
    expect(attempts.get(reason)?.at(-2)).toBe(triedAgain(reason));
  });
});

/** What follows it, by the rule that the store asks. */
function triedAgain(reason: AttemptReason): string {
  if (reason === 'EXITED_ZERO' || reason === 'CANCELLED') return 'no';
  const result = { state: 'FAILED', reason, message: '', exitCode: null, signal: null, endTime: 0 } as const;
  const after = (infraFailures: number) =>
    nextStep({ result, maxRetries: 1, retries: 0, infraFailures, cancelRequested: false, now: 0 });
  const first = after(0);
  if (first.task !== 'PENDING') return 'no';
  if (first.counts === 'retry') return 'as a retry';
  let tries = 1;
  while (after(tries - 1).task === 'PENDING') tries += 1;
  return `by itself, ${tries} tries in all`;
}

const ended = async (name: string): Promise<Pick<Execution, 'reason' | 'message'>> => rig.ended(name);
const fails = (code: number) => {
  rig.runner.script = () => ({ exitAt: 10, exit: { exitCode: code } });
};
const MAKERS: Readonly<Record<string, () => Promise<string>>> = {
  NON_ZERO_EXIT_CODE: async () => {
    fails(3);
    return rig.create({ taskCount: 2, maxRetries: 2 });
  },
  CANCELLED: async () => {
    const name = await rig.create();
    await rig.running(name);
    await rig.store.cancelExecution(name, 'ann');
    return name;
  },
  ...Object.fromEntries(HALT_REASONS.map((reason) => [reason, () => HALTED[reason](rig)])),
};

describe('docs/outcomes.md, executions', () => {
  it('has a row for every reason of its own, and an example of its tasks’', () => {
    expect([...executions.keys()].sort()).toEqual(
      ['CANCELLED', 'NON_ZERO_EXIT_CODE', ...HALT_REASONS].sort(),
    );
  });

  it.each(Object.keys(MAKERS))('%s: the example is what the code says', async (reason) => {
    await rig.started();
    const name = (await MAKERS[reason]?.()) ?? '';
    const execution = await ended(name);
    expect(execution.reason).toBe(reason);
    expect(execution.message).toBe(executions.get(reason)?.at(-1));
    if (reason !== 'CANCELLED') expect(namesCause(reason, `FAILED: ${execution.message}`)).toBe(true);
  });
});
