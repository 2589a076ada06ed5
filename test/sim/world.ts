import { DUE_TYPE } from '../../triggers/cron/event.ts';
import { SeededIds } from '../support/seeded-ids.ts';
import { check } from './checkers.ts';
import type { Finding } from './checkers.ts';
import { SimGateway } from './gateway.ts';
import type { SimStore, WrapStore } from './gateway.ts';
import { Sender } from './sender.ts';
import { SeededRandom } from './seeded-random.ts';
import { VirtualDisk } from './virtual-disk.ts';
import type { DiskFault } from './virtual-disk.ts';
import { VirtualTime, quiesce } from './virtual-time.ts';

export const START = Date.parse('2026-03-28T22:00:07.300Z');
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** How often each thing happens. */
const STEPS = { advance: 34, post: 34, duplicate: 8, crash: 8, refuse: 6, refuseDecide: 4, jump: 4 };
/** Longer than every pause of a retry (60 s) and one more look at the clock (30 s). */
const QUIET_MS = 4 * MINUTE;
/** Longer than the store waits where it is busy: at most 12 times 5 ms here. */
const BUSY_OVER_MS = 100;
/** How far the clock jumps at most, either way, and how often each reach comes. */
const JUMPS: Readonly<Record<string, number>> = { [SECOND]: 6, [MINUTE]: 6, [2 * HOUR]: 2, [26 * HOUR]: 1 };
const CRASH_PLACES = ['before a commit', 'after a commit', 'between two awaits'] as const;
/** A crash lets pass this many places of its kind, at most. */
const CRASH_SKIP = 3;
/** Turns of the microtask queue after a call or a commit: the longest chain of awaits from there is shorter. */
const CRASH_TICKS = 20;

interface CrashPlan {
  readonly where: (typeof CRASH_PLACES)[number];
  readonly skip: number;
  readonly ticks: number;
}

export interface RunResult {
  readonly findings: readonly Finding[];
  readonly trace: readonly string[];
  /** What happened how often: a simulation that never crashes proves nothing. */
  readonly tally: Readonly<Record<string, number>>;
}

export interface RunOptions {
  readonly wrap?: WrapStore;
}

/** Runs one seed to the end. The same seed gives the same run. */
export async function simulate(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const world = new World(seed, options.wrap ?? ((store) => store));
  try {
    return await world.run();
  } finally {
    world.close();
  }
}

class World {
  readonly #random: SeededRandom;
  readonly #ids: SeededIds;
  readonly #time = new VirtualTime(START);
  readonly #disk = new VirtualDisk();
  readonly #sender: Sender;
  readonly #wrap: WrapStore;
  readonly #trace: string[] = [];
  readonly #tally: Record<string, number> = {};
  #gateway: SimGateway | undefined;
  #crashPlan: CrashPlan | undefined;
  /** `decide` calls to refuse while the accept beside them goes through. */
  #refuseDecides = 0;
  readonly #clockSet: { readonly from: number; readonly to: number }[] = [];

  constructor(seed: number, wrap: WrapStore) {
    this.#random = new SeededRandom(seed);
    this.#ids = new SeededIds(seed);
    this.#wrap = wrap;
    this.#sender = new Sender({
      time: this.#time,
      random: this.#random,
      gateway: () => this.#gateway,
      trace: (line) => this.#note(line),
    });
  }

  async run(): Promise<RunResult> {
    await this.#boot();
    this.#sender.loss = 0.05;
    const steps = this.#random.between(200, 500);
    for (let step = 0; step < steps; step++) await this.#step();
    const gateway = await this.#quiet();
    const findings = await check({
      store: gateway.store,
      health: gateway.host.health(),
      messages: this.#sender.messages,
      start: START,
      now: this.#time.now(),
      clockSet: this.#clockSet,
    });
    this.#tally['refused'] = this.#disk.refused;
    const slots = await gateway.store.listEvents({ type: DUE_TYPE }, { size: 1000 });
    this.#tally['late slots'] = slots.items.filter(({ verdict }) => verdict !== null).length;
    return { findings, trace: this.#trace, tally: this.#tally };
  }

  close(): void {
    this.#gateway?.kill();
    this.#disk.close();
  }

  async #step(): Promise<void> {
    if (this.#gateway === undefined && this.#random.chance(0.3)) return this.#boot();
    const action = this.#random.weighted(STEPS);
    this.#count(action);
    switch (action) {
      case 'advance':
        return this.#advance(
          this.#random.chance(0.9) ? this.#random.between(0, 10_000) : this.#random.between(0, 90_000),
        );
      case 'post':
        return this.#act('post', () => this.#sender.post());
      case 'duplicate':
        return this.#act('duplicate', () => this.#sender.duplicate());
      case 'crash':
        return this.#planCrash();
      case 'refuse':
        return this.#refuse();
      case 'refuseDecide':
        this.#refuseDecides = this.#random.between(1, 3);
        return this.#note(`refuse ${this.#refuseDecides} decides`);
      case 'jump':
        return this.#jump();
    }
  }

  #planCrash(): void {
    const where = this.#random.pick(CRASH_PLACES);
    const skip = this.#random.between(0, CRASH_SKIP);
    this.#crashPlan = { where, skip, ticks: this.#random.between(0, CRASH_TICKS) };
    this.#note(`plan a crash ${where}, after ${skip} others`);
  }

  #refuse(): void {
    const fault = this.#random.pick<DiskFault>(['full', 'io-error', 'busy']);
    const times = this.#random.between(1, 12);
    this.#note(`disk ${fault} ${times} times`);
    this.#disk.fail(fault, times);
  }

  /** Mostly what a time server does, sometimes what an operator does. */
  async #jump(): Promise<void> {
    // A commit that waits for another process would carry the time of its call across the jump.
    await this.#advance(BUSY_OVER_MS);
    const reach = this.#random.weighted(JUMPS);
    const ms = this.#random.between(-Number(reach), Number(reach));
    const from = this.#time.now();
    this.#time.jump(ms);
    this.#clockSet.push({ from, to: this.#time.now() });
    this.#note(`clock jumps ${ms} ms to ${new Date(this.#time.now()).toISOString()}`);
  }

  async #boot(): Promise<void> {
    const gateway = new SimGateway({
      time: this.#time,
      disk: this.#disk,
      ids: this.#ids,
      wrap: (store) => this.#wrap(this.#refusing(store)),
    });
    this.#gateway = gateway;
    this.#count('boot');
    await this.#act('boot', () => void gateway.start());
    if (gateway.failed !== undefined) this.#crash('its start failed');
  }

  async #advance(ms: number): Promise<void> {
    this.#note(`advance ${ms}`);
    await this.#time.advance(ms, () => this.#settle());
  }

  async #act(what: string, action: () => void): Promise<void> {
    this.#note(what);
    action();
    await this.#settle();
  }

  /** Runs what is ready, commit by commit, as the end of a turn does; the planned crash may come in between. */
  async #settle(): Promise<void> {
    for (;;) {
      await this.#microtasks();
      const flush = this.#gateway?.takeFlush();
      if (flush === undefined) return;
      if (this.#crashPlan?.where === 'before a commit' && this.#planReached()) return;
      flush();
      if (this.#crashPlan?.where === 'after a commit' && this.#planReached()) return;
    }
  }

  /** In single steps where a crash is planned between two awaits; else all at once. */
  async #microtasks(): Promise<void> {
    if (this.#crashPlan?.where === 'between two awaits') {
      for (let ticks = this.#crashPlan.ticks; ticks > 0; ticks--) await Promise.resolve();
      this.#planReached();
    }
    await quiesce();
  }

  /** Counts a boundary of the planned kind; at the last one the gateway dies, and this returns true. */
  #planReached(): boolean {
    const plan = this.#crashPlan;
    if (plan === undefined || this.#gateway === undefined) return false;
    if (plan.skip > 0) {
      this.#crashPlan = { ...plan, skip: plan.skip - 1 };
      return false;
    }
    this.#crash(plan.where);
    return true;
  }

  #crash(where: string): void {
    this.#note(`crash ${where}`);
    this.#count(`crash ${where}`);
    this.#crashPlan = undefined;
    this.#gateway?.kill();
    this.#gateway = undefined;
    this.#disk.crash();
    // Some outages are short, some last hours; nothing of the gateway runs meanwhile, so this costs nothing.
    if (this.#random.chance(0.1)) this.#time.jump(this.#random.between(0, 2 * HOUR));
  }

  /** No more faults, long enough for every retry; returns the gateway that runs then. */
  async #quiet(): Promise<SimGateway> {
    this.#crashPlan = undefined;
    this.#refuseDecides = 0;
    this.#sender.loss = 0;
    this.#disk.heal();
    if (this.#gateway === undefined) await this.#boot();
    await this.#advance(QUIET_MS);
    if (this.#gateway === undefined) throw new Error('the gateway does not start any more');
    return this.#gateway;
  }

  #refusing(store: SimStore): SimStore {
    return {
      ...delegate(store),
      decide: (params) => {
        if (this.#refuseDecides === 0) return store.decide(params);
        this.#refuseDecides--;
        return Promise.reject(new Error('simulated: this decide was refused'));
      },
    };
  }

  #note(line: string): void {
    this.#trace.push(line);
  }

  #count(what: string): void {
    this.#tally[what] = (this.#tally[what] ?? 0) + 1;
  }
}

/** All methods of a store, to spread under those that are replaced. */
export function delegate(store: SimStore): SimStore {
  return {
    acceptEvents: (params) => store.acceptEvents(params),
    readState: (origin, key) => store.readState(origin, key),
    scanState: (origin, prefix, after, limit) => store.scanState(origin, prefix, after, limit),
    undecidedEvents: (limit) => store.undecidedEvents(limit),
    decide: (params) => store.decide(params),
    eventOutcome: (uid) => store.eventOutcome(uid),
  };
}
