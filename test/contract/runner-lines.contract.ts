import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { ContainerSpec, Runner } from '../../src/core/runner.ts';
import { MemoryLogWriter } from '../support/memory-log-writer.ts';
import { exitedStatus, startedOf } from './runner-waits.ts';

/** What the suite of a runner lends to its part about lines that are not finished. */
export interface LinesHarness {
  readonly runner: Runner;
  readonly another: () => Runner;
  readonly specOf: (script: string) => ContainerSpec;
}

/** One is longer than what is compared of a log, one nearly as long as what Docker keeps back of a line. */
const LENGTHS = [9, 6000, 16_000];
const ENDS = 'while the gateway was away';
/** So long ago that an engine which was there must remember the end. */
const A_WHILE_MS = 1_200;

/** An attached stream has a line before it is finished; an engine's log may not. */
export function linesContract(open: () => LinesHarness): void {
  describe('a line that is not finished when another gateway goes on', () => {
    it.each(LENGTHS)('of %i bytes stands in the log once, as all before and behind it', async (length) => {
      const { runner, another, specOf } = open();
      const begun = `one\ntwo\n${'x'.repeat(length)}`;
      const spec = specOf(
        `trap "echo ' ${ENDS}'; printf more; exit 0" TERM; echo one; echo two; head -c ${length} /dev/zero | tr '\\0' x;
         echo beside >&2; while :; do sleep 0.05; done`,
      );
      const first = new MemoryLogWriter();
      const ensured = startedOf(await runner.ensure(spec, first));
      await until(first, () => first.bytes('stdout') === begun.length && first.bytes('stderr') > 0);

      const second = new MemoryLogWriter();
      await second.write('stdout', Buffer.from(first.text('stdout')));
      const done = another().logs(spec.name, second, new AbortController().signal);
      // The engine's log has been read once when this is there.
      await until(second, () => second.bytes('stderr') > 0);
      await runner.stop(spec.name, 10_000);
      await done;
      await ensured.captured;
      await runner.remove(spec.name);
      expect(second.text('stdout')).toBe(`${begun} ${ENDS}\nmore`);
      expect(second.text('stderr')).toBe('beside\n');
      expect(first.text('stdout')).toBe(second.text('stdout'));
    });
  });

  it('the log of a container that ended a while ago is what it wrote, without a word of ours', async () => {
    const { runner, another, specOf } = open();
    const spec = specOf('echo one; echo two >&2');
    await startedOf(await runner.ensure(spec, new MemoryLogWriter())).captured;
    await exitedStatus(runner, spec.name);
    await setTimeout(A_WHILE_MS);
    const log = new MemoryLogWriter();
    await another().logs(spec.name, log, new AbortController().signal);
    await runner.remove(spec.name);
    expect([log.text('stdout'), log.text('stderr')]).toEqual(['one\n', 'two\n']);
  });
}

function until(log: MemoryLogWriter, holds: () => boolean): Promise<void> {
  return new Promise((resolve) => log.written(() => holds() && resolve()));
}
