import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GAP_LINE, UNSEEN_END_LINE } from '../../../src/runners/docker/gap-line.ts';
import { LogPosition } from '../../../src/runners/docker/log-position.ts';

const whole = Buffer.from(Array.from({ length: 3000 }, (_, n) => `line ${n}\n`).join(''));
const taken = (bytes: number) => ({ bytes, tail: whole.subarray(Math.max(0, bytes - 4096), bytes) });

/** What is new in `log`, cut into chunks of `size`; null where it is misaligned. */
function readOn(position: LogPosition, log: Buffer, size: number): Buffer | null {
  const skip = position.skip();
  const fresh: Buffer[] = [];
  for (let at = 0; at < log.length; at += size) {
    const part = skip.push(log.subarray(at, at + size));
    if (part !== null) fresh.push(part);
  }
  return skip.aligned ? Buffer.concat(fresh) : null;
}

function find(position: LogPosition, log: Buffer, size: number): number | null {
  for (const search of position.searches()) {
    let end: number | null = null;
    for (let at = 0; at < log.length && end === null; at += size)
      end = search.push(log.subarray(at, at + size));
    end ??= search.end();
    if (end === null) continue;
    position.moveTo(search, end);
    return end;
  }
  return null;
}

/** What of the first `bytes` stands in lines that are whole. */
const linesBefore = (bytes: number) => whole.subarray(0, whole.subarray(0, bytes).lastIndexOf('\n') + 1);

const anywhere = fc.integer({ min: 0, max: whole.length });
const sizes = fc.integer({ min: 1, max: 9000 });

describe('LogPosition', () => {
  it('goes on behind what was taken, wherever the chunks are cut', () => {
    fc.assert(
      fc.property(anywhere, sizes, (bytes, size) => {
        const fresh = readOn(new LogPosition(taken(bytes)), whole, size);
        expect(fresh?.equals(whole.subarray(bytes))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('goes on behind a line that was not finished, while the engine keeps it back and when it has it', () => {
    fc.assert(
      fc.property(anywhere, sizes, (bytes, size) => {
        const lines = linesBefore(bytes);
        const position = new LogPosition(taken(bytes));
        expect(readOn(position, lines, size)).toEqual(Buffer.alloc(0));
        expect(readOn(position, whole, size)?.equals(whole.subarray(bytes))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('goes on behind the lines where the engine was killed and has lost what it kept back', () => {
    fc.assert(
      fc.property(anywhere, sizes, fc.constantFrom('another\n', 'lin\n', ''), (bytes, size, next) => {
        const lines = linesBefore(bytes);
        const position = new LogPosition(taken(bytes));
        const behind = `${next}${'x'.repeat(20)}\n`;
        // A line that goes on as the lost one began is taken for that one: nothing tells them apart.
        // Of a log that has nothing of what was taken nobody knows what it has lost.
        fc.pre(
          lines.length > 0 &&
            lines.length < bytes &&
            !behind.startsWith(whole.toString('utf8', lines.length, bytes)),
        );
        const log = Buffer.concat([lines, Buffer.from(behind)]);
        const fresh = readOn(position, log, size);
        expect(fresh?.toString()).toBe(behind);
        position.took(fresh ?? Buffer.alloc(0));
        expect(readOn(position, Buffer.concat([log, Buffer.from('more')]), size)?.toString()).toBe('more');
      }),
      { numRuns: 50 },
    );
  });

  it('goes on behind what the engine had written, where it was killed before it wrote the last lines', () => {
    const lost = fc.integer({ min: 0, max: 2000 });
    fc.assert(
      fc.property(anywhere, lost, sizes, (bytes, less, size) => {
        const written = linesBefore(Math.max(0, bytes - less));
        fc.pre(written.length >= 16);
        const position = new LogPosition(taken(bytes));
        // Nothing came after it yet.
        expect(readOn(position, written, size)).toEqual(Buffer.alloc(0));
        const log = Buffer.concat([written, Buffer.from('and on\n')]);
        const fresh = readOn(position, log, size);
        expect(fresh?.toString()).toBe('and on\n');
        position.took(fresh ?? Buffer.alloc(0));
        expect(readOn(position, Buffer.concat([log, Buffer.from('more')]), size)?.toString()).toBe('more');
      }),
      { numRuns: 50 },
    );
  });

  it('sees that a log has lost its beginning, however little was taken of it', () => {
    // Each line begins alike: fewer bytes tell nothing.
    const little = fc.integer({ min: 8, max: 4096 });
    const dropped = fc.integer({ min: 0, max: 9000 });
    fc.assert(
      fc.property(little, dropped, sizes, (bytes, more, size) => {
        const rest = whole.subarray(bytes + more);
        expect(readOn(new LogPosition(taken(bytes)), rest, size)).toBeNull();
      }),
      { numRuns: 50 },
    );
  });

  it('finds the place behind bytes that the engine has lost, though only what was taken since is in its log', () => {
    const lost = fc.integer({ min: 1, max: 3000 });
    const since = fc.integer({ min: 256, max: 6000 });
    fc.assert(
      fc.property(lost, since, sizes, (less, fresh, size) => {
        const log = Buffer.concat([whole.subarray(0, 9000), whole.subarray(9000 + less)]);
        const stored = whole.subarray(0, 9000 + less + fresh);
        const position = new LogPosition({ bytes: stored.length, tail: stored.subarray(-4096) });
        const at = readOn(position, log, size) === null ? find(position, log, size) : 9000 + fresh;
        expect(at).toBe(9000 + fresh);
      }),
      { numRuns: 50 },
    );
  });

  it('does not take a line that was there before for the place, where what came behind it is another', () => {
    const epoch = 'Starting next epoch\n';
    const progress = Array.from({ length: 600 }, (_, n) => `\r${n} of 600`).join('');
    const tail = Buffer.from(epoch + progress).subarray(0, 4096);
    const position = new LogPosition({ bytes: 50_000, tail });
    const rest = Buffer.from(`${epoch}\r1 of 2\r2 of 2\n${tail.toString()}\rdone\n`);
    expect(readOn(position, rest, 700)).toBeNull();
    expect(find(position, rest, 700)).toBe(rest.length - '\rdone\n'.length);
  });

  it('finds the place before a line that was not finished, in a log without its beginning', () => {
    const bytes = 20_003;
    const lines = whole.lastIndexOf('\n', bytes) + 1;
    expect(lines).toBeLessThan(bytes);
    const position = new LogPosition(taken(bytes));
    for (const rest of [whole.subarray(9000, lines), whole.subarray(18_000, lines)]) {
      expect(readOn(position, rest, 700)).toBeNull();
      expect(find(position, rest, 700)).toBe(rest.length + bytes - lines);
      expect(readOn(position, rest, 700)).toEqual(Buffer.alloc(0));
    }
    expect(readOn(position, whole.subarray(18_000), 700)?.equals(whole.subarray(bytes))).toBe(true);
  });

  it('takes a log for behind that ends in a line longer than what is compared, up to what engines keep', () => {
    const long = Buffer.alloc(15_000, 'x');
    const position = () => new LogPosition({ bytes: 20_000, tail: long.subarray(0, 4096) });
    expect(readOn(position(), Buffer.alloc(5000, 'y'), 700)).toEqual(Buffer.alloc(0));
    expect(readOn(position(), Buffer.alloc(3000, 'y'), 700)).toBeNull();
    expect(readOn(position(), Buffer.alloc(17_000, 'y'), 700)).toBeNull();
  });

  it('goes on where another took over: what was taken meanwhile counts', () => {
    const position = new LogPosition(taken(100));
    position.took(whole.subarray(100, 120));
    position.took(whole.subarray(120, 10_000));
    expect(readOn(position, whole, 1000)?.equals(whole.subarray(10_000))).toBe(true);
  });

  it('sees that the engine dropped the beginning of its log, and finds the place in the rest', () => {
    const drops = fc.integer({ min: 1, max: 15_000 });
    fc.assert(
      fc.property(drops, sizes, (dropped, size) => {
        const rest = whole.subarray(dropped);
        const position = new LogPosition(taken(20_000));
        expect(readOn(position, rest, size)).toBeNull();
        const end = find(position, rest, size);
        expect(end).toBe(20_000 - dropped);
        expect(readOn(position, rest, size)?.equals(whole.subarray(20_000))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('goes on where the engine dropped all but the last bytes of what was taken', () => {
    for (const size of [100, 5000]) {
      const rest = whole.subarray(19_000, 22_000);
      const position = new LogPosition(taken(20_000));
      expect(find(position, rest, size)).toBe(1000);
      expect(readOn(position, rest, size)?.equals(whole.subarray(20_000, 22_000))).toBe(true);
    }
  });

  it('does not find what is gone, nor guess from a few bytes', () => {
    expect(find(new LogPosition(taken(5000)), whole.subarray(6000), 700)).toBeNull();
    expect(new LogPosition(taken(10)).searches()).toEqual([]);
  });

  it('knows the gap line as its own, not the container’s', () => {
    const after = whole.subarray(6000, 9000);
    const tail = Buffer.concat([Buffer.from(`something${GAP_LINE}`), after]);
    const position = new LogPosition({ bytes: 123_456, tail });
    expect(find(position, whole.subarray(6000), 512)).toBe(3000);
  });

  it.each([0, 10, 2000, 6000])(
    'goes on around a gap line that told of another stream, with %i bytes behind',
    (n) => {
      const stderr = Buffer.concat([
        whole.subarray(0, 9000),
        Buffer.from(GAP_LINE),
        whole.subarray(9000, 9000 + n),
      ]);
      const position = new LogPosition({ bytes: stderr.length, tail: stderr.subarray(-4096) });
      const end = readOn(position, whole, 700) === null ? find(position, whole, 700) : 9000 + n;
      expect(end).toBe(9000 + n);
      expect(readOn(position, whole, 700)?.equals(whole.subarray(9000 + n))).toBe(true);
    },
  );

  it('knows the line of an end that nobody saw as its own', () => {
    const stderr = Buffer.concat([
      whole.subarray(0, 9000),
      Buffer.from(GAP_LINE),
      Buffer.from(UNSEEN_END_LINE),
    ]);
    const position = new LogPosition({ bytes: stderr.length, tail: stderr.subarray(-4096) });
    expect(position.endsInGap).toBe(true);
    expect(readOn(position, whole.subarray(0, 9000), 700)).toEqual(Buffer.alloc(0));
  });

  it('takes no position for good that it cannot check', () => {
    const tail = Buffer.from(GAP_LINE.repeat(40)).subarray(-4096);
    const position = new LogPosition({ bytes: 50_000, tail });
    expect(position.endsInGap).toBe(true);
    expect(readOn(position, whole.subarray(0, 20_000), 700)).toBeNull();
    expect(position.searches()).toEqual([]);
  });
});
