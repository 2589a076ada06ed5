import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import type { LogSink } from '../../src/core/log-sink.ts';
import { Rig } from '../support/executor-rig.ts';
import { settle } from '../support/manual-clock.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());

describe('output', () => {
  it('keeps its container until the log can take it, however long the disk is full', async () => {
    await rig.started();
    const name = await rig.create();
    await rig.running(name);
    rig.logs.full = true;
    rig.runner.emit(rig.container(name), 'stdout', 'kept');
    await settle();
    rig.runner.exit(rig.container(name), { exitCode: 0 });
    await rig.clock.advance(60_000);
    expect(rig.runner.names()).toEqual([rig.container(name)]);
    expect(rig.logLines.filter((line) => line.includes('could not be read on'))).toHaveLength(1);
    rig.logs.full = false;
    await rig.ended(name);
    expect(rig.logs.text(await rig.attempt(name))).toBe('kept');
    expect((await rig.attempt(name)).message).toBe('Succeeded.');
  });

  it('has the room that its job says, 100 MiB unless it says', async () => {
    const rooms: (number | undefined)[] = [];
    const logs: LogSink = {
      open: (key, options) => {
        rooms.push(options?.maxBytes);
        return rig.logs.open(key);
      },
      read: (key, params) => rig.logs.read(key, params),
      end: (key) => rig.logs.end(key),
      remove: (execution) => rig.logs.remove(execution),
    };
    await rig.started({ logs });
    for (const spec of [{}, { maxLogBytes: 5 * 1024 * 1024 }]) {
      const name = await rig.create(spec);
      await rig.running(name);
      rig.runner.exit(rig.container(name));
      await rig.ended(name);
    }
    expect(rooms).toEqual([100 * 1024 * 1024, 5 * 1024 * 1024]);
  });

  it('whose log cannot be opened for a while leaves the container alone', async () => {
    const first = rig.mortal();
    await first.start();
    await rig.until(() => first.status().state === 'ready');
    const name = await rig.create();
    await rig.running(name);
    await first.stop();
    let refuse = true;
    const logs: LogSink = {
      open: (key) =>
        refuse
          ? Promise.reject(new TappetError('STORE_UNAVAILABLE', 'no file handles left'))
          : rig.logs.open(key),
      read: (key, params) => rig.logs.read(key, params),
      end: (key) => rig.logs.end(key),
      remove: (execution) => rig.logs.remove(execution),
    };
    await rig.started({ logs });
    await rig.clock.advance(60_000);
    expect(rig.runner.names()).toEqual([rig.container(name)]);
    refuse = false;
    rig.runner.emit(rig.container(name), 'stdout', 'whole');
    rig.runner.exit(rig.container(name));
    await rig.ended(name);
    expect(rig.logs.text(await rig.attempt(name))).toBe('whole');
    expect(await rig.attempt(name)).toMatchObject({ attempt: 0, state: 'SUCCEEDED' });
  });
});
