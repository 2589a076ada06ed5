import { afterEach, describe, expect, it } from 'vitest';
import { GAP_LINE, UNSEEN_END_LINE } from '../../../src/runners/docker/gap-line.ts';
import type { DockerRunner } from '../../../src/runners/docker/docker-runner.ts';
import { deferred } from '../../../src/lib/deferred.ts';
import { answer, container } from '../../support/fake-engine.ts';
import type { EngineHandler } from '../../support/fake-engine.ts';
import { EXITED, closeEngines, frame, passing, runnerOn, spec } from '../../support/fake-engine-runner.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { MemoryLogWriter } from '../../support/memory-log-writer.ts';

afterEach(closeEngines);

describe('capture', () => {
  const attach = `POST /containers/${spec.name}/attach`;
  const inspect = `GET /containers/${spec.name}/json`;
  const sends =
    (...parts: Buffer[]): EngineHandler =>
    (_, response) => {
      response.writeHead(200);
      response.end(Buffer.concat(parts));
    };
  const capturedOf = async (runner: DockerRunner, log: MemoryLogWriter) => {
    const ensured = await runner.ensure(spec, log);
    if (ensured.outcome !== 'started') throw new Error('adopted');
    return ensured.captured;
  };

  it('is whole when the stream and the container have ended', async () => {
    const { runner } = await runnerOn({
      [attach]: sends(frame(1, 'out'), frame(2, 'err')),
      [inspect]: answer(200, container(EXITED)),
    });
    const log = new MemoryLogWriter();
    expect(await capturedOf(runner, log)).toBe(true);
    expect([log.text('stdout'), log.text('stderr')]).toEqual(['out', 'err']);
  });

  it('is not when the stream ends in the middle of a frame', async () => {
    const { runner } = await runnerOn({
      [attach]: sends(frame(1, 'cut here').subarray(0, 12)),
      [inspect]: answer(200, container(EXITED)),
    });
    const log = new MemoryLogWriter();
    expect(await capturedOf(runner, log)).toBe(false);
    expect(log.text('stdout')).toBe('cut ');
  });

  it('is not when the stream ended before the container did, however soon after it was looked at', async () => {
    const later = container({ ...EXITED, FinishedAt: new Date(Date.now() + 60_000).toISOString() });
    const { runner } = await runnerOn({
      [attach]: sends(frame(1, 'x')),
      [inspect]: answer(200, later),
    });
    expect(await capturedOf(runner, new MemoryLogWriter())).toBe(false);
  });

  it('is not when the stream ends and the container runs on', async () => {
    const clock = new ManualClock();
    const { runner } = await runnerOn({ [attach]: sends(frame(1, 'x')) }, clock);
    expect(await passing(clock, capturedOf(runner, new MemoryLogWriter()))).toBe(false);
  });

  it('is not when the engine was gone in between, though it is back and the container has ended', async () => {
    const writing = deferred<void>();
    const held = deferred<void>();
    const { runner } = await runnerOn({
      [attach]: sends(frame(1, 'x')),
      [inspect]: answer(200, container(EXITED)),
      'GET /containers/json': (_, response) => response.destroy(),
    });
    const log = new MemoryLogWriter();
    log.before = () => {
      writing.resolve();
      return held.promise;
    };
    const captured = capturedOf(runner, log);
    await writing.promise;
    await expect(runner.list()).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
    held.resolve();
    expect(await captured).toBe(false);
  });

  it('lets the stream go when one write takes more than 5 s: the container must not wait for us', async () => {
    const clock = new ManualClock();
    const writing = deferred<void>();
    const held = deferred<void>();
    const { runner, log: gatewayLog } = await runnerOn(
      { [attach]: (_, response) => response.writeHead(200).write(frame(1, 'x')) },
      clock,
    );
    const log = new MemoryLogWriter();
    log.before = () => {
      writing.resolve();
      return held.promise;
    };
    const captured = capturedOf(runner, log);
    await writing.promise;
    await clock.advance(5000);
    held.resolve();
    expect(await captured).toBe(false);
    // Whoever goes on from the cursor must not race the slow write.
    expect(log.text('stdout')).toBe('x');
    expect(gatewayLog.lines).toHaveLength(1);
  });
});

describe('logs', () => {
  const logs = `GET /containers/${spec.name}/logs`;
  /** The engine's log as it is now. */
  const holds =
    (stdout: string, stderr = ''): EngineHandler =>
    (_, response) => {
      response.writeHead(200);
      const cut = (stream: 1 | 2, text: string) =>
        (text.match(/[\s\S]{1,200}/g) ?? []).map((part) => frame(stream, part));
      response.end(Buffer.concat([...cut(1, stdout), ...cut(2, stderr)]));
    };
  const lines = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, n) => `line ${from + n}\n`).join('');

  async function resumed(taken: string, held: string): Promise<MemoryLogWriter> {
    const { runner } = await runnerOn({
      [logs]: holds(held),
      [`GET /containers/${spec.name}/json`]: answer(200, container(EXITED)),
    });
    const log = new MemoryLogWriter();
    await log.write('stdout', Buffer.from(taken));
    await runner.logs(spec.name, log, new AbortController().signal);
    return log;
  }

  it('go on behind what was taken', async () => {
    const log = await resumed(lines(0, 500), lines(0, 900));
    expect(log.text('stdout')).toBe(lines(0, 900));
    expect(log.text('stderr')).toBe('');
  });

  it('go on without a gap where the engine dropped only what was taken', async () => {
    const log = await resumed(lines(0, 2000), lines(1400, 3000));
    expect(log.text('stdout')).toBe(lines(0, 3000));
    expect(log.text('stderr')).toBe('');
  });

  it('go on in a line that was not finished when the engine was killed, which has lost its beginning', async () => {
    const log = await resumed(
      `${lines(0, 500)}progress: 10%`,
      `${lines(0, 500)}progress: 20%\n${lines(500, 510)}`,
    );
    expect(log.text('stdout')).toBe(`${lines(0, 500)}progress: 10%progress: 20%\n${lines(500, 510)}`);
    expect(log.text('stderr')).toBe('');
  });

  it('say where output is missing for good', async () => {
    const log = await resumed(lines(0, 500), lines(700, 900));
    expect(log.text('stdout')).toBe(lines(0, 500) + lines(700, 900));
    expect(log.text('stderr')).toBe(GAP_LINE);
  });

  /** Output in both streams, and what a resume makes of the engine's log afterwards. */
  async function resumedTwice(
    taken: { out: string; err: string },
    ...held: [string, string][]
  ): Promise<MemoryLogWriter> {
    const log = new MemoryLogWriter();
    await log.write('stdout', Buffer.from(taken.out));
    await log.write('stderr', Buffer.from(taken.err));
    for (const [out, err] of held) {
      const { runner } = await runnerOn({
        [logs]: holds(out, err),
        [`GET /containers/${spec.name}/json`]: answer(200, container(EXITED)),
      });
      await runner.logs(spec.name, log, new AbortController().signal);
    }
    return log;
  }
  const err = (from: number, to: number) => lines(from, to).replaceAll('line', 'problem');

  it.each([3, 40])(
    'go on in stderr after a gap in stdout, of which %i lines are there already',
    async (n) => {
      const log = await resumedTwice(
        { out: lines(0, 500), err: err(0, n) },
        [lines(700, 900), err(0, n)],
        [lines(700, 900), err(0, n)],
        [lines(700, 901), err(0, n + 5)],
        [lines(700, 902), err(0, n + 9)],
      );
      expect(log.text('stdout')).toBe(lines(0, 500) + lines(700, 902));
      expect(log.text('stderr')).toBe(err(0, n) + GAP_LINE + err(n, n + 9));
    },
  );

  it('say once that stderr has a gap, and go on behind it', async () => {
    const log = await resumedTwice(
      { out: '', err: err(0, 500) },
      ['', ''],
      ['', ''],
      ['', err(700, 900)],
      ['', err(700, 905)],
    );
    expect(log.text('stderr')).toBe(err(0, 500) + GAP_LINE + err(700, 905));
  });

  describe('of a container that has ended', () => {
    const start = { Type: 'container', Action: 'create', Actor: { Attributes: { name: 'another' } } };
    const end = { Type: 'container', Action: 'die', Actor: { Attributes: { name: spec.name } } };
    const times = (n: number) => Array.from({ length: n }, () => start);
    /** An engine answers with what it remembers, of what is asked for. */
    const remembers =
      (events: object[]): EngineHandler =>
      (request, response) => {
        const url = new URL(request.url ?? '', 'http://engine');
        const asked = Object.keys(JSON.parse(url.searchParams.get('filters') ?? '{}') as object);
        const told = asked.includes('container') ? events.filter((event) => event === end) : events;
        response.writeHead(200);
        response.end(told.map((event) => `${JSON.stringify(event)}\n`).join(''));
      };

    it.each<[string, EngineHandler, string]>([
      ['remembers the end', remembers([...times(3), end]), ''],
      ['remembers all since its start, and not the end', remembers(times(3)), UNSEEN_END_LINE],
      ['remembers nothing', remembers([]), UNSEEN_END_LINE],
      ['remembers no further', remembers(times(256)), ''],
      ['does not tell', answer(500, { message: 'no' }), ''],
      ['breaks off', (_, response) => void response.writeHead(200).write('{', () => response.destroy()), ''],
    ])('say once that output may be missing where the engine %s', async (_, events, line) => {
      const { runner } = await runnerOn({
        [logs]: holds(lines(0, 20)),
        [`GET /containers/${spec.name}/json`]: answer(200, container(EXITED)),
        'GET /events': events,
      });
      const log = new MemoryLogWriter();
      for (let again = 0; again < 2; again++) await runner.logs(spec.name, log, new AbortController().signal);
      expect([log.text('stdout'), log.text('stderr')]).toEqual([lines(0, 20), line]);
    });

    it('do not wait longer than 3 s to be told of that, by an engine that is silent and not gone', async () => {
      const clock = new ManualClock('2026-02-01T00:00:00Z');
      let asked = Infinity;
      const { runner, engine } = await runnerOn(
        {
          [logs]: holds(lines(0, 20)),
          [`GET /containers/${spec.name}/json`]: answer(200, container(EXITED)),
          'GET /events': () => void (asked = clock.now()),
        },
        clock,
      );
      const log = new MemoryLogWriter();
      await passing(clock, runner.logs(spec.name, log, new AbortController().signal));
      expect(clock.now() - asked).toBeLessThan(4_000);
      expect([log.text('stdout'), log.text('stderr')]).toEqual([lines(0, 20), '']);
      // After an outage its version would be asked for again.
      await runner.inspect(spec.name);
      expect(engine.calls.filter((call) => call === 'GET /version')).toHaveLength(1);
    });

    it('say nothing of that where the engine is Podman, whose containers write their logs without it', async () => {
      const { runner } = await runnerOn({
        [logs]: holds(lines(0, 20)),
        [`GET /containers/${spec.name}/json`]: answer(200, container(EXITED)),
        'GET /events': remembers([]),
        'GET /version': answer(200, {
          Version: '4.3.1',
          ApiVersion: '1.41',
          MinAPIVersion: '1.24',
          Components: [{ Name: 'Podman Engine' }],
        }),
      });
      const log = new MemoryLogWriter();
      await runner.logs(spec.name, log, new AbortController().signal);
      expect([log.text('stdout'), log.text('stderr')]).toEqual([lines(0, 20), '']);
    });
  });

  it('end with ENGINE_REFUSED where the engine cannot read its own log', async () => {
    const { runner } = await runnerOn({
      [logs]: (_, response) => {
        response.writeHead(200);
        response.end(Buffer.concat([frame(1, 'x'), frame(3, 'error unmarshaling log entry')]));
      },
      [`GET /containers/${spec.name}/json`]: answer(200, container(EXITED)),
    });
    const refused = runner.logs(spec.name, new MemoryLogWriter(), new AbortController().signal);
    await expect(refused).rejects.toMatchObject({
      code: 'ENGINE_REFUSED',
      message: expect.stringMatching(/unmarshaling/),
    });
  });

  it('end with ENGINE_UNAVAILABLE where the answer ends within a frame, though it ends properly', async () => {
    const { runner } = await runnerOn({
      [logs]: (_, response) => {
        response.writeHead(200);
        response.end(frame(1, 'half of it').subarray(0, 12));
      },
      [`GET /containers/${spec.name}/json`]: answer(200, container(EXITED)),
    });
    const refused = runner.logs(spec.name, new MemoryLogWriter(), new AbortController().signal);
    await expect(refused).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringMatching(/broke off \(reading the log/),
    });
  });

  it('end with ENGINE_UNAVAILABLE where the engine breaks off', async () => {
    const { runner } = await runnerOn({
      [logs]: (_, response) => {
        response.writeHead(200);
        response.write(frame(1, 'x'), () => response.destroy());
      },
      [`GET /containers/${spec.name}/json`]: answer(200, container(EXITED)),
    });
    const refused = runner.logs(spec.name, new MemoryLogWriter(), new AbortController().signal);
    await expect(refused).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
  });
});
