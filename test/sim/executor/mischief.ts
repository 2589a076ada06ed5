import { TappetError } from '../../../src/core/errors.ts';
import type { ErrorCode } from '../../../src/core/errors.ts';
import { containerName } from '../../../src/core/execution.ts';
import type { FinishParams } from '../../../src/core/store.ts';
import type { FakeRunner, Method } from '../../support/fake-runner.ts';
import type { MemoryLogSink } from '../../support/memory-log-sink.ts';
import type { SeededRandom } from '../seeded-random.ts';
import type { VirtualTime } from '../virtual-time.ts';
import { IMAGES } from './scenario.ts';
import type { Lateness, SimEngine } from './sim-engine.ts';
import type { ObjectFault, SimObjects } from './sim-objects.ts';

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
  'outputs',
];
/** Calls that are answered late, or never. */
const LATE: readonly Method[] = ['ensure', 'ensure', 'inspect', 'stop', 'kill', 'remove', 'list', 'logs'];
/** Shorter than the deadline of any call, and than what is left of a lease when its holder dies. */
const LATE_MS = 8 * SECOND;
const PULL_FAILURES: readonly ErrorCode[] = [
  'IMAGE_NOT_FOUND',
  'IMAGE_UNAUTHORIZED',
  'IMAGE_PULL_FAILED',
  'IMAGE_PULL_FAILED',
  'IMAGE_RATE_LIMITED',
  'IMAGE_DISK_FULL',
];
const OBJECT_FAULTS: readonly ObjectFault[] = ['away', 'away', 'denied', 'silent', 'slow', 'breaks off'];
const MINUTE = 60 * SECOND;
/** How far the wall clock jumps at most, either way, and how often each reach comes. */
const JUMPS: Readonly<Record<string, number>> = { [SECOND]: 4, [30 * SECOND]: 4, [5 * MINUTE]: 2 };
const FAULT_CODES: readonly ErrorCode[] = ['ENGINE_UNAVAILABLE', 'ENGINE_UNAVAILABLE', 'ENGINE_REFUSED'];

export interface MischiefParams {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly engine: SimEngine;
  readonly objects: SimObjects;
  readonly logs: MemoryLogSink;
  /** Whether a process is awake that is in charge of the engine, and which. */
  readonly inCharge: () => object | undefined;
  readonly note: (line: string) => void;
  readonly count: (what: string) => void;
}

/** What happens to the engine and its containers. */
export class Mischief {
  /** Containers that somebody removed while they ran. */
  readonly vanished = new Set<string>();
  /** Of containers that ended with the engine: the process that was in charge then, and saw it. */
  readonly witnesses = new Map<string, object>();
  /** Those whose end their witness stored. */
  readonly witnessed = new Set<string>();
  /** Ms that the wall clock has jumped so far, either way. */
  jumped = 0;
  readonly #params: MischiefParams;
  #lateRemovals = false;

  constructor(params: MischiefParams) {
    this.#params = params;
  }

  /** Where the engine refused to tell of its containers, or to remove one, maintenance does that later. */
  get leftToMaintenance(): boolean {
    const refused = this.#runner.refused.some(({ method }) => method === 'list' || method === 'remove');
    return refused || this.#lateRemovals;
  }

  get #runner(): FakeRunner {
    return this.#params.engine.fake;
  }

  /** Errors: it is none of the engine's, its images', the store's or the clock's. */
  do(what: string): void {
    const kinds: Readonly<Record<string, () => void>> = {
      fault: () => this.#fault(),
      away: () => this.#away(),
      restart: () => this.#restart(),
      late: () => this.#late(),
      half: () => this.#half(),
      pull: () => this.#pull(),
      occupy: () => this.#occupy(),
      objects: () => this.#objects(),
      fullLogs: () => this.#fullLogs(),
      jump: () => this.#jump(),
      vanish: () => this.#touch('vanish'),
      cut: () => this.#touch('cut'),
      stall: () => this.#touch('stall'),
    };
    const act = kinds[what];
    if (act === undefined) throw new TypeError(`nobody does ${what}`);
    act();
  }

  #fault(): void {
    const { random, note, count } = this.#params;
    const method = random.pick(FAULTS);
    const code = random.pick(FAULT_CODES);
    const after = random.chance(0.5);
    note(`the next ${method} answers ${code}${after ? ', and has worked' : ''}`);
    count(after && method === 'ensure' ? 'worked, but answered an error' : 'answered an error');
    this.#runner.fail(method, new TappetError(code, 'simulated'), { after });
  }

  /** The engine goes away, and its containers go on. */
  #away(): void {
    const { random, note } = this.#params;
    note('the engine goes away');
    this.#runner.goDown();
    this.#later(random.between(SECOND, 20 * SECOND), () => this.#runner.goUp());
  }

  /** The engine ends with its containers, and comes back. */
  #restart(): void {
    const { random, engine, inCharge, note, count } = this.#params;
    const code = random.pick([137, 143]);
    const witness = inCharge();
    const ended = engine.restart(false, code);
    note(`the engine restarts, and ends ${ended.join(', ') || 'nothing'}`);
    if (ended.length > 0) count('ended with the engine');
    const ms = random.between(SECOND, 12 * SECOND);
    this.#later(ms, () => this.#runner.goUp());
    if (witness !== undefined) for (const name of ended) this.witnesses.set(name, witness);
  }

  /** Whoever has lost the engine meanwhile begins anew, and knows as little as a successor. */
  look(): void {
    if (this.witnesses.size > 0 && this.#params.inCharge() === undefined) this.witnesses.clear();
  }

  /** A process has stored the end of an attempt. */
  finished(process: object, { key }: FinishParams): void {
    const end = `-${key.execution}-t${key.index}-a${key.attempt}`;
    for (const [name, witness] of this.witnesses)
      if (witness === process && name.endsWith(end)) this.witnessed.add(name);
  }

  /** One call is answered late, or never, whether it works or not. */
  #late(): void {
    const { random, engine, note, count } = this.#params;
    const method = random.pick(LATE);
    const ms = random.chance(0.5) ? 'never' : random.between(200, LATE_MS);
    const works = random.pick<Lateness['works']>(
      ms === 'never' ? ['at once', 'at once', 'never'] : ['at once', 'late'],
    );
    note(`the next ${method} is answered ${ms === 'never' ? ms : `after ${ms} ms`}, and works ${works}`);
    count(ms === 'never' ? 'never answered' : 'answered late');
    if (method === 'remove') this.#lateRemovals = true;
    engine.answerLate({ method, ms, works });
  }

  #half(): void {
    const { engine, note, count } = this.#params;
    note('the next container is created, and not started');
    count('created, but not started');
    engine.stopHalfWay();
  }

  /** An image is removed, and its pull takes long, or fails. */
  #pull(): void {
    const { random, engine, note, count } = this.#params;
    const image = random.pick(IMAGES);
    const fails = random.chance(0.5) ? random.pick(PULL_FAILURES) : undefined;
    const ms = random.between(500, 40 * SECOND);
    note(`${image} is removed; its pull takes ${ms} ms and ${fails ?? 'works'}`);
    count(fails === undefined ? 'slow pull' : 'failed pull');
    engine.images.lose(image, { ms, ...(fails === undefined ? {} : { fails }) });
  }

  /** Somebody takes the name that the next attempt of a task will have. */
  #occupy(): void {
    const { random, engine, note, count } = this.#params;
    const names = this.#runner.names().filter((name) => this.#runner.statusOf(name).state === 'running');
    if (names.length === 0) return;
    const spec = this.#runner.specOf(random.pick(names));
    const key = { ...spec.key, attempt: spec.key.attempt + 1 };
    const instance = spec.name.slice(0, spec.name.indexOf(`-${key.execution}-`));
    const name = containerName(instance, key);
    if (this.#runner.statusOf(name).state !== 'missing') return;
    note(`somebody takes the name ${name}`);
    count('a name is taken');
    engine.occupy({ ...spec, key, name });
  }

  /** The object store is away, refuses, or is slow. */
  #objects(): void {
    const { random, objects, note, count } = this.#params;
    const fault = random.pick(OBJECT_FAULTS);
    note(`the object store: ${fault}`);
    count(`object store ${fault}`);
    objects.fault = fault;
    this.#later(random.between(SECOND, 30 * SECOND), () => (objects.fault = undefined));
  }

  /** The file system of the logs is full. */
  #fullLogs(): void {
    const { random, logs, note, count } = this.#params;
    note('no room for logs');
    count('no room for logs');
    logs.full = true;
    this.#later(random.between(SECOND, 15 * SECOND), () => (logs.full = false));
  }

  /** Mostly what a time server does, sometimes what an operator does. */
  #jump(): void {
    const { random, time, note, count } = this.#params;
    const reach = Number(random.weighted(JUMPS));
    const ms = random.between(-reach, reach);
    note(`the clock jumps ${ms} ms`);
    count('jump');
    this.jumped += Math.abs(ms);
    time.jump(ms);
  }

  /** Somebody removes a container that runs, or its stream breaks or gives nothing more. */
  #touch(action: 'vanish' | 'cut' | 'stall'): void {
    const { random, note, count } = this.#params;
    const running = this.#runner.names().filter((name) => this.#runner.statusOf(name).state === 'running');
    if (running.length === 0) return;
    const name = random.pick(running);
    note(`${action} ${name}`);
    count(`${action} one`);
    if (action === 'cut') return this.#runner.cut(name);
    if (action === 'stall') return this.#runner.stall(name);
    this.vanished.add(name);
    this.#runner.vanish(name);
  }

  /** The last fault was the last. */
  end(): void {
    const { engine, objects, logs } = this.#params;
    engine.heal();
    objects.fault = undefined;
    logs.full = false;
  }

  #later(ms: number, fn: () => void): void {
    this.#params.time.setTimer(ms, fn);
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
