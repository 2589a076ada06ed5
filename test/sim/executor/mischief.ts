import { TappetError } from '../../../src/core/errors.ts';
import type { ErrorCode } from '../../../src/core/errors.ts';
import type { FakeRunner, Method } from '../../support/fake-runner.ts';
import type { SeededRandom } from '../seeded-random.ts';
import type { VirtualTime } from '../virtual-time.ts';

const SECOND = 1_000;
/** Calls of the engine that fail, and how. */
const FAULTS: readonly Method[] = [
  'prepare',
  'ensure',
  'ensure',
  'inspect',
  'stop',
  'remove',
  'list',
  'logs',
];
const FAULT_CODES: readonly ErrorCode[] = ['ENGINE_UNAVAILABLE', 'ENGINE_UNAVAILABLE', 'ENGINE_REFUSED'];

export interface MischiefParams {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly runner: FakeRunner;
  readonly note: (line: string) => void;
  readonly count: (what: string) => void;
}

/** What happens to the engine and its containers. */
export class Mischief {
  /** Containers that somebody removed while they ran. */
  readonly vanished = new Set<string>();
  readonly #params: MischiefParams;

  constructor(params: MischiefParams) {
    this.#params = params;
  }

  /** Where the engine refused to tell of its containers, or to remove one, maintenance does that later. */
  get leftToMaintenance(): boolean {
    return this.#params.runner.refused.some(({ method }) => method === 'list' || method === 'remove');
  }

  fault(): void {
    const { random, runner, note, count } = this.#params;
    const method = random.pick(FAULTS);
    const code = random.pick(FAULT_CODES);
    const after = random.chance(0.5);
    note(`the next ${method} answers ${code}${after ? ', and has worked' : ''}`);
    count(after && method === 'ensure' ? 'worked, but answered an error' : 'answered an error');
    runner.fail(method, new TappetError(code, 'simulated'), { after });
  }

  away(): void {
    const { random, time, runner, note } = this.#params;
    note('the engine goes away');
    runner.goDown();
    time.setTimer(random.between(SECOND, 20 * SECOND), () => runner.goUp());
  }

  /** Somebody removes a container that runs, or its stream breaks. */
  touch(action: 'vanish' | 'cut'): void {
    const { random, runner, note, count } = this.#params;
    const running = runner.names().filter((name) => runner.statusOf(name).state === 'running');
    if (running.length === 0) return;
    const name = random.pick(running);
    note(`${action} ${name}`);
    count(`${action} one`);
    if (action === 'cut') return runner.cut(name);
    this.vanished.add(name);
    runner.vanish(name);
  }
}

const CRASH_PLACES = [
  'before a commit',
  'after a commit',
  'before an order',
  'after an order',
  'between two awaits',
] as const;
export type CrashPlace = (typeof CRASH_PLACES)[number];
/** A crash lets pass this many places of its kind, at most. */
const CRASH_SKIP = 6;
/** Turns of the microtask queue after a call or a commit. */
const CRASH_TICKS = 20;

/** Where the process ends next. */
export class CrashPlan {
  readonly where: CrashPlace;
  readonly ticks: number;
  #skip: number;

  constructor(random: SeededRandom) {
    this.where = random.pick(CRASH_PLACES);
    this.#skip = random.between(0, CRASH_SKIP);
    this.ticks = random.between(0, CRASH_TICKS);
  }

  /** Such a place is reached: whether it is the one. */
  isNow(where: CrashPlace): boolean {
    return where === this.where && this.#skip-- === 0;
  }

  toString(): string {
    return `plan a crash ${this.where}, after ${this.#skip} others`;
  }
}
