import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { attemptResource } from '../../src/http/resources.ts';
import { TappetError } from '../../src/core/errors.ts';
import { Rig } from '../support/executor-rig.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());

const leaves = (content: string): void => {
  rig.runner.script = () => ({ exitAt: 10, leaves: { '/tappet/output': content } });
};
const resource = async (name: string) => {
  const execution = await rig.store.getExecution(name);
  if (execution === undefined) throw new Error('gone');
  return attemptResource(await rig.attempt(name), execution.spec);
};

describe('what a task writes to the file of TAPPET_OUTPUT', () => {
  it('is its output, as text or as JSON', async () => {
    leaves('{"pages": [1, 2]}\n');
    await rig.started();
    const json = await rig.create({ output: 'json' });
    await rig.ended(json);
    expect((await resource(json)).output).toEqual({ pages: [1, 2] });
    const text = await rig.create({ output: 'text' });
    await rig.ended(text);
    expect((await resource(text)).output).toBe('{"pages": [1, 2]}\n');
    const none = await rig.create();
    await rig.ended(none);
    expect(await resource(none)).not.toHaveProperty('output');
  });

  it('has a file before the start that any user can write to, and the container its name', async () => {
    await rig.started();
    const name = await rig.create({ output: 'text' });
    await rig.running(name);
    expect(rig.runner.specOf(rig.container(name)).env['TAPPET_OUTPUT']).toBe('/tappet/output');
    const got = rig.runner.received.get(rig.container(name)) ?? [];
    expect(got.map(({ to, mode, content }) => [to, mode, content.toString()])).toEqual([
      ['/tappet/output', 0o666, ''],
    ]);
    const other = await rig.create();
    await rig.running(other);
    expect(rig.runner.specOf(rig.container(other)).env).not.toHaveProperty('TAPPET_OUTPUT');
    for (const one of [name, other]) rig.runner.exit(rig.container(one));
  });

  it('may be nothing, and no file at all is nothing too', async () => {
    await rig.started();
    for (const left of [{ '/tappet/output': '' }, {}]) {
      rig.runner.script = () => ({ exitAt: 10, leaves: left });
      const name = await rig.create({ output: 'json' });
      expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
      expect(await resource(name)).not.toHaveProperty('output');
    }
  });

  it('holds 64 KiB, and not a byte more', async () => {
    await rig.started();
    leaves('x'.repeat(65_536));
    const full = await rig.create({ output: 'text' });
    expect(await rig.ended(full)).toMatchObject({ state: 'SUCCEEDED' });
    expect(String((await resource(full)).output)).toHaveLength(65_536);
    leaves('x'.repeat(65_537));
    const over = await rig.create({ output: 'text' });
    expect(await rig.ended(over)).toMatchObject({
      state: 'FAILED',
      message:
        'Task 0 failed: it ended with exit code 0, but what it wrote to $TAPPET_OUTPUT is longer than 65,536 bytes (65,537 were read).',
    });
    // Done again it would be the same.
    expect(await rig.attempt(over)).toMatchObject({ attempt: 0, reason: 'OUTPUT_REFUSED' });
  });

  it('that is not what the job says fails it', async () => {
    leaves('{"open":');
    await rig.started();
    const name = await rig.create({ output: 'json' });
    expect(await rig.ended(name)).toMatchObject({
      state: 'FAILED',
      message: expect.stringMatching(/\$TAPPET_OUTPUT is not JSON: /) as unknown,
    });
    expect(await resource(name)).not.toHaveProperty('output');
  });

  it('that became a folder fails it', async () => {
    rig.runner.script = () => ({ exitAt: 10, leaves: { '/tappet/output/x': 'in a folder' } });
    await rig.started();
    const name = await rig.create({ output: 'text' });
    expect(await rig.ended(name)).toMatchObject({
      state: 'FAILED',
      message: expect.stringMatching(/TAPPET_OUTPUT is a folder, and not a file/) as unknown,
    });
  });

  it('is not asked for where the code failed', async () => {
    rig.runner.script = () => ({ exitAt: 10, exit: { exitCode: 3 }, leaves: { '/tappet/output': 'half' } });
    await rig.started();
    const name = await rig.create({ output: 'text', maxRetries: 0 });
    await rig.ended(name);
    expect(await resource(name)).toMatchObject({ state: 'FAILED', reason: 'NON_ZERO_EXIT_CODE' });
    expect(await resource(name)).not.toHaveProperty('output');
  });

  it('that the engine does not hand over is asked for by another attempt', async () => {
    leaves('late');
    rig.runner.fail('outputs', new TappetError('ENGINE_REFUSED', 'The engine says no.'));
    await rig.started();
    const name = await rig.create({ output: 'text', maxRetries: 0 });
    await rig.ended(name);
    const [first] = await rig.store.listAttempts(name, 0);
    expect(first).toMatchObject({ reason: 'OUTPUT_FAILED' });
    expect(await resource(name)).toMatchObject({ attempt: 1, output: 'late' });
  });
});
