import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AcceptParams, AcceptResult } from '../../../src/core/store.ts';
import { FilesRig, type Running } from '../../support/files-rig.ts';
import type { MemoryStore } from '../../support/memory-store.ts';

/** A store as one process sees it; the process ends before or after its n-th write. */
class MortalStore {
  readonly #store: MemoryStore;
  readonly #dieAt: number;
  readonly #stored: boolean;
  readonly #onDeath: () => void;
  #writes = 0;
  #dead = false;

  constructor(store: MemoryStore, die: Death, onDeath: () => void) {
    this.#store = store;
    this.#dieAt = die.write;
    this.#stored = die.stored;
    this.#onDeath = onDeath;
  }

  async acceptEvents(params: AcceptParams): Promise<AcceptResult> {
    if (this.#dead) return never();
    this.#writes += 1;
    if (this.#writes !== this.#dieAt) return this.#store.acceptEvents(params);
    this.#dead = true;
    if (this.#stored) await this.#store.acceptEvents(params);
    this.#onDeath();
    return never();
  }
  readState(origin: string, row: string): ReturnType<MemoryStore['readState']> {
    return this.#dead ? never() : this.#store.readState(origin, row);
  }
  scanState(...args: Parameters<MemoryStore['scanState']>): ReturnType<MemoryStore['scanState']> {
    return this.#dead ? never() : this.#store.scanState(...args);
  }
}

interface Death {
  readonly write: number;
  readonly stored: boolean;
}
const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

const NAMES = ['a', 'b', 'in/a', 'in/b.csv', 'in.d'];
const name = fc.constantFrom(...NAMES);
const step = fc.oneof(
  fc.record({ do: fc.constant('write' as const), name, size: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ do: fc.constant('move' as const), name, to: name }),
  fc.record({ do: fc.constant('remove' as const), name }),
  fc.record({ do: fc.constant('hint' as const), name }),
  fc.record({ do: fc.constant('pass' as const), seconds: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ do: fc.constant('scan' as const) }),
  fc.record({ do: fc.constant('restart' as const) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
const anyDeath = fc.record({ write: fc.integer({ min: 1, max: 6 }), stored: fc.boolean() });

/** The processes of one run, one after the other; each that dies is followed by the next. */
class Gateway {
  readonly rig = new FilesRig();
  readonly #deaths: Death[];
  #running: Running | undefined;
  #died = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(deaths: readonly Death[]) {
    this.#deaths = [...deaths];
    mkdirSync(join(this.rig.root, 'in'), { recursive: true });
  }

  async start(): Promise<void> {
    const death = this.#deaths.shift();
    let die = (): void => undefined;
    this.#ended = new Promise((resolve) => (die = resolve));
    this.#died = false;
    const onDeath = (): void => {
      this.#died = true;
      die();
    };
    const { rig } = this;
    const store = death === undefined ? rig.store : new MortalStore(rig.store, death, onDeath);
    const started = rig.start({ existing: 'run' }, store);
    void started.then((running) => (this.#running = running));
    await this.#orDeath(started);
  }

  async #orDeath(work: Promise<unknown>): Promise<void> {
    await Promise.race([work, this.#ended]);
    if (!this.#died) return;
    this.rig.abandonAll();
    await this.start();
  }

  async do(one: Step): Promise<void> {
    const { rig } = this;
    const path = 'name' in one ? join(rig.root, one.name) : '';
    if (one.do === 'write') writeFileSync(path, 'x'.repeat(one.size));
    else if (one.do === 'remove') rmSync(path, { force: true });
    else if (one.do === 'move') {
      this.#move(path, join(rig.root, one.to));
      // The old place is told at the latest with the new one, which a hint from before may still be about.
      this.#running?.hints.file(one.name);
    } else if (one.do === 'hint') this.#running?.hints.file(one.name);
    else if (one.do === 'pass') await this.#orDeath(rig.pass(one.seconds));
    else if (one.do === 'scan') await this.#orDeath(rig.scanned());
    else {
      rig.abandonAll();
      await this.start();
    }
  }

  #move(from: string, to: string): void {
    if (statSync(from, { throwIfNoEntry: false }) !== undefined) renameSync(from, to);
  }

  /** What stands in the folder, by inode and time, as the system says. */
  present(): string[] {
    const found = readdirSync(this.rig.root, { recursive: true, withFileTypes: true });
    return found.filter((entry) => entry.isFile()).map((entry) => key(join(entry.parentPath, entry.name)));
  }
}

function key(path: string): string {
  const { ino, size, mtimeNs } = statSync(path, { bigint: true });
  return `${ino} ${size} ${mtimeNs % 1_000_000_000n}`;
}

it('makes each finished file one event, wherever processes end between two steps', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 12 }),
      fc.array(anyDeath, { minLength: 1, maxLength: 4 }),
      async (steps, deaths) => {
        const gateway = new Gateway(deaths);
        await gateway.start();
        for (const one of steps) await gateway.do(one);
        // As many as may still die, and two more: one finds, one tidies up.
        for (let i = 0; i < deaths.length + 2; i++) await gateway.do({ do: 'scan' });
        const told = gateway.rig.store.list().map(({ event }) => {
          const { ino, size, mtime } = event.data as { ino: string; size: number; mtime: string };
          return `${ino} ${size} ${Number(mtime.slice(20, 29))}`;
        });
        expect(told, 'none twice').toHaveLength(new Set(told).size);
        expect([...new Set(told)]).toEqual(expect.arrayContaining(gateway.present()));
        expect(gateway.rig.ledger()).toHaveLength(gateway.present().length);
      },
    ),
    { numRuns: 30 },
  );
});
