import { describe, expect, it } from 'vitest';
import { DoomedPorts, Rig } from '../support/executor-rig.ts';

const TEXT = 'one\ntwo\n';

/** An execution of one task, which writes TEXT and succeeds after a second. */
async function begin(): Promise<{ rig: Rig; name: string }> {
  const rig = await new Rig().open();
  rig.runner.script = () => ({ output: [{ at: 0, text: TEXT }], exitAt: 1000, exit: { exitCode: 0 } });
  return { rig, name: await rig.create({ taskCount: 1 }) };
}

async function right(rig: Rig, name: string): Promise<void> {
  expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
  const [attempt, ...others] = await rig.store.listAttempts(name, 0);
  if (attempt === undefined) throw new Error('there is no attempt');
  expect(others).toEqual([]);
  expect(attempt).toMatchObject({ reason: 'EXITED_ZERO', logBytes: { stdout: TEXT.length, stderr: 0 } });
  expect([rig.logs.text(attempt), rig.logs.closed(attempt)]).toEqual([TEXT, true]);
  await rig.until(() => rig.runner.names().length === 0);
  await rig.close();
}

describe('a log that the disk refuses at its end', () => {
  it('keeps its container, the only other copy, until the disk has it', async () => {
    const { rig, name } = await begin();
    rig.logs.refusals = 1000;
    const executor = rig.executor();
    await executor.start();
    await rig.until(() => rig.logs.refusals < 990);
    expect(await rig.store.getExecution(name)).toMatchObject({ state: 'RUNNING' });
    expect(rig.runner.names()).toHaveLength(1);
    expect(rig.logLines.filter((line) => line.includes('EIO'))).toEqual([
      expect.stringContaining(
        'What tasks do cannot be stored; trying again: The log could not be written: EIO',
      ),
    ]);
    rig.logs.refusals = 0;
    await right(rig, name);
  });

  it.each([
    'writer.close:before:1',
    'writer.close:before:2',
    'writer.close:before:4',
    'writer.close:after:4',
    'store.finishAttempt:before:1',
    'store.finishAttempt:after:1',
    'runner.remove:before:1',
    'runner.remove:after:1',
  ])('also where the process ends: %s', async (place) => {
    const { rig, name } = await begin();
    rig.logs.refusals = 3;
    const doomed = new DoomedPorts(rig, place);
    await rig.mortal(doomed.ports).start();
    await rig.until(() => doomed.dead);
    expect(rig.runner.names()).toHaveLength(place === 'runner.remove:after:1' ? 0 : 1);
    await rig.executor().start();
    await right(rig, name);
  });
});
