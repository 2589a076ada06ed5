import { describe, expect, it } from 'vitest';
import { VirtualDisk } from './virtual-disk.ts';

const INSERT = "INSERT INTO meta VALUES ('left', 'behind')";
const EVENT = `INSERT INTO events (uid, origin, type, receive_time, envelope) VALUES ('u', 'o', 't', 1, '{}') RETURNING seq`;

describe('the disk of the next run', () => {
  it('is as new, whatever was stored or half done on the last', () => {
    const first = new VirtualDisk();
    const made = first.dump();
    const connection = first.connect(':memory:');
    connection.prepare(INSERT).run();
    connection.prepare("UPDATE sequences SET value = 7 WHERE name = 'state'").run();
    const before = connection.prepare(EVENT).all();
    connection.prepare('BEGIN').run();
    connection.prepare("DELETE FROM meta WHERE name = 'left'").run();
    first.close();

    const second = new VirtualDisk();
    expect(second.dump()).toEqual(made);
    expect(second.connect(':memory:').prepare(EVENT).all()).toEqual(before);
    second.close();
  });

  it('takes nothing from the last', () => {
    const first = new VirtualDisk();
    const late = first.connect(':memory:').prepare(INSERT);
    first.close();
    const second = new VirtualDisk();
    const made = second.dump();
    expect(() => late.run()).toThrow('over');
    expect(second.dump()).toEqual(made);
    second.close();
  });
});
