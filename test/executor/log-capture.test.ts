import { expect, it } from 'vitest';
import { EngineGate } from '../../src/executor/engine-gate.ts';
import { Outages } from '../../src/executor/outages.ts';
import { LogCapture } from '../../src/executor/log-capture.ts';
import { momentOf, Session } from '../../src/executor/session.ts';
import { FakeRunner } from '../support/fake-runner.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { MemoryLogSink } from '../support/memory-log-sink.ts';

const KEY = { execution: 'e-0', index: 0, attempt: 0 };
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const bytes = (text: string): Uint8Array => Buffer.from(text);

it('lets a stream that was stuck write nothing more once the rest is read anew', async () => {
  const clock = new ManualClock();
  const session = new Session({ epoch: 1, since: momentOf(clock), clock, log });
  const sink = new MemoryLogSink();
  const runner = new FakeRunner(clock);
  let late: Promise<unknown> = Promise.resolve('not tried');
  const gate = new EngineGate({ runner, session, clock, log, outages: new Outages(), onUp: () => undefined });
  const capture = new LogCapture({
    name: 'c',
    runner,
    gate,
    writer: await sink.open(KEY),
    clock,
    log,
    signal: session.signal,
    onEnd: () => undefined,
  });
  const attached = await capture.prepareAttach();
  runner.logs = async (_name, writer) => {
    expect(writer.cursor().stdout.bytes).toBe(4);
    await writer.write('stdout', bytes('two '));
    // The attached stream wakes up in the middle of it, with the same bytes.
    late = attached.write('stdout', bytes('two ')).catch((error: unknown) => error);
    await late;
    await writer.write('stdout', bytes('three'));
  };
  await attached.write('stdout', bytes('one '));
  capture.attached(new Promise<boolean>(() => undefined));
  const complete = capture.complete();
  await settle();
  expect(sink.text(KEY)).toBe('one ');
  await clock.advance(10_000);
  expect(await complete).toBe(true);
  expect(String(await late)).toContain('given up');
  expect(sink.text(KEY)).toBe('one two three');
  expect(await capture.close()).toEqual({ stdout: 13, stderr: 0 });
});
