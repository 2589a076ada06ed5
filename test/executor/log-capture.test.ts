import { expect, it } from 'vitest';
import { EngineGate } from '../../src/executor/engine-gate.ts';
import { Outages } from '../../src/executor/outages.ts';
import { LogCapture } from '../../src/executor/log-capture.ts';
import { LEASE_MS, momentOf, Session, SessionOver } from '../../src/executor/session.ts';
import { FakeRunner } from '../support/fake-runner.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { MemoryLogSink } from '../support/memory-log-sink.ts';

const KEY = { execution: 'e-0', index: 0, attempt: 0 };
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const bytes = (text: string): Uint8Array => Buffer.from(text);

/** Of one attempt, with the session and the log that it has. */
async function rig() {
  const clock = new ManualClock();
  const session = new Session({ epoch: 1, since: momentOf(clock), clock, log });
  const sink = new MemoryLogSink();
  const runner = new FakeRunner(clock);
  const gate = new EngineGate({ runner, session, clock, log, outages: new Outages(), onUp: () => undefined });
  const writer = await sink.open(KEY);
  const onEnd = (): void => undefined;
  const capture = new LogCapture({ name: 'c', runner, gate, writer, clock, log, session, onEnd });
  return { clock, session, sink, runner, capture };
}

it('lets a stream that was stuck write nothing more once the rest is read anew', async () => {
  const { clock, sink, runner, capture } = await rig();
  let late: Promise<unknown> = Promise.resolve('not tried');
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

it('takes nothing more of what a suspended owner finds in its stream, though no timer has fired yet', async () => {
  const { clock, session, sink, capture } = await rig();
  const attached = await capture.prepareAttach();
  capture.attached(new Promise<boolean>(() => undefined));
  await attached.write('stdout', bytes('one '));
  clock.set(clock.now() + LEASE_MS - 1);
  await attached.write('stdout', bytes('two'));
  clock.set(clock.now() + 1);
  await expect(attached.write('stdout', bytes(' three'))).rejects.toBeInstanceOf(SessionOver);
  expect(session.signal.aborted).toBe(true);
  expect(sink.text(KEY)).toBe('one two');
  // Whether that is its end is for the next owner to say.
  expect(await capture.close()).toEqual({ stdout: 7, stderr: 0 });
  expect(sink.endOf(KEY)).toBe('left');
});
