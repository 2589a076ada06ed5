import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ATTEMPT_REASONS, HALT_REASONS } from '../../src/core/execution.ts';
import { cli } from '../support/cli-runner.ts';
import { Rig } from '../support/executor-rig.ts';
import { createTestApp, ROOT_TOKEN } from '../support/http-fakes.ts';
import { failedExecution, HALTED } from '../support/outcomes.ts';

/** The sentence that docs/outcomes.md gives for a reason. */
const page = readFileSync(new URL('../../docs/outcomes.md', import.meta.url), 'utf8');
const sentence = (reason: string): string =>
  new RegExp(`^\\| \`${reason}\` .*\\| (.+) \\|$`, 'm').exec(page)?.[1] ?? `no row of ${reason}`;

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());

/** The first line of what `tappet executions describe` prints of an execution that the real executor and store ended. */
async function firstLine(name: string): Promise<string> {
  const { app } = createTestApp({ store: rig.store, clock: rig.clock });
  const { code, out } = await cli(['executions', 'describe', name], {
    env: { TAPPET_URL: 'http://gateway.test', TAPPET_TOKEN: ROOT_TOKEN },
    fetch: (url, init) => app.fetch(new Request(url, init), { remoteAddress: '127.0.0.1' }),
  });
  expect(code, out).toBe(0);
  return out.split('\n')[0] ?? '';
}

describe('executions describe names the cause in its first line', () => {
  const failures = ATTEMPT_REASONS.filter((reason) => reason !== 'EXITED_ZERO' && reason !== 'CANCELLED');

  it.each(failures)('of a task that failed: %s', async (reason) => {
    const line = await firstLine(await failedExecution(rig, reason));
    expect(line).toMatch(/^FAILED: Task 0 failed: /);
    // In the middle of a sentence it begins with a small letter.
    expect(line.slice('FAILED: Task 0 failed: '.length + 1)).toBe(
      `${sentence(reason).slice(1).replace(/\.$/, '')}.`,
    );
  });

  it.each(HALT_REASONS)('of one that stopped itself: %s', async (reason) => {
    await rig.started();
    const name = await HALTED[reason](rig);
    await rig.ended(name);
    expect(await firstLine(name)).toBe(`FAILED: ${sentence(reason)}`);
  });
});
