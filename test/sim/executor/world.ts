import { MemoryLogSink } from '../../support/memory-log-sink.ts';
import { HeldSecrets } from '../../support/object-stores.ts';
import { SeededIds } from '../../support/seeded-ids.ts';
import { SeededRandom } from '../seeded-random.ts';
import { VirtualDisk } from '../virtual-disk.ts';
import type { DiskFault } from '../virtual-disk.ts';
import { VirtualTime, quiesce } from '../virtual-time.ts';
import { check } from './checkers.ts';
import { Callers } from './callers.ts';
import type { Finding } from './checkers.ts';
import { ExecGateway } from './gateway.ts';
import type { Wraps } from './gateway.ts';
import { CrashPlan, Mischief } from './mischief.ts';
import type { CrashPlace } from './mischief.ts';
import { INPUT_PLACE, INPUT_TEXT, SECRETS, planOf } from './scenario.ts';
import { findSecrets } from './secret-search.ts';
import { SimEngine } from './sim-engine.ts';
import { SimObjects } from './sim-objects.ts';
import { Watch } from './watch.ts';

export const START = Date.parse('2026-03-28T22:00:07.300Z');
const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** How often each thing happens. */
const STEPS = {
  advance: 50,
  post: 14,
  duplicate: 3,
  cancel: 3,
  rerun: 3,
  crash: 4,
  freeze: 2,
  stop: 2,
  refuse: 3,
  fault: 8,
  away: 2,
  vanish: 2,
  cut: 2,
  stall: 1,
  restart: 1,
  late: 4,
  half: 1,
  pull: 2,
  occupy: 1,
  objects: 2,
  fullLogs: 1,
};
type Step = keyof typeof STEPS | 'jump';
/** In one seed of four: what was promised to come after a while is not measured in these. */
const JUMPY = 0.25;
const JUMP_WEIGHT = 3;
/** Every pause between attempts, and the longest wait for a lease, is shorter. */
const QUIET_STEP_MS = 5 * SECOND;
const QUIET_MS = 30 * MINUTE;
const STOP_WITHIN_MS = 5 * SECOND;
export interface RunResult {
  readonly findings: readonly Finding[];
  readonly trace: readonly string[];
  readonly tally: Readonly<Record<string, number>>;
}

/** Runs one seed of the executor's simulation to the end. The same seed gives the same run. */
export async function simulateExecutor(seed: number, wraps: Wraps = {}): Promise<RunResult> {
  const world = new World(seed, wraps);
  try {
    return await world.run();
  } finally {
    world.close();
  }
}

class World {
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #ids: SeededIds;
  readonly #time = new VirtualTime(START);
  readonly #disk = new VirtualDisk();
  readonly #engine: SimEngine;
  readonly #objects: SimObjects;
  readonly #secrets = new HeldSecrets(SECRETS);
  readonly #steps: Readonly<Record<Step, number>>;
  readonly #logs = new MemoryLogSink();
  readonly #watch: Watch;
  readonly #wraps: Wraps;
  readonly #callers: Callers;
  readonly #mischief: Mischief;
  readonly #findings: Finding[] = [];
  readonly #trace: string[] = [];
  readonly #tally: Record<string, number> = {};
  /** The process that serves, and one that was frozen and goes on beside it. */
  #gateway: ExecGateway | undefined;
  #zombie: ExecGateway | undefined;
  /** One that was asked to end. */
  #stopping: ExecGateway | undefined;
  /** What the processes wrote to their own logs. */
  readonly #said: string[] = [];
  #lives = 0;
  readonly #owners = new Map<string, ExecGateway>();
  #crashPlan: CrashPlan | undefined;

  constructor(seed: number, wraps: Wraps) {
    this.#seed = seed;
    this.#wraps = wraps;
    this.#random = new SeededRandom(seed);
    this.#ids = new SeededIds(seed);
    const time = this.#time;
    this.#steps = { ...STEPS, jump: this.#random.chance(JUMPY) ? JUMP_WEIGHT : 0 };
    this.#engine = new SimEngine(time);
    this.#engine.fake.script = (spec) => planOf(spec.name, seed).script;
    this.#objects = new SimObjects(time);
    this.#objects.store.seed(INPUT_PLACE, INPUT_TEXT);
    this.#callers = new Callers({ time, random: this.#random, gateway: () => this.#gateway });
    this.#watch = new Watch(this.#engine.fake, this.#objects.store);
    this.#mischief = new Mischief({
      random: this.#random,
      time,
      engine: this.#engine,
      objects: this.#objects,
      logs: this.#logs,
      inCharge: () => (this.#gateway?.executor.holdsEngine() === true ? this.#gateway : undefined),
      note: (line) => this.#note(line),
      count: (what) => this.#count(what),
    });
  }

  async run(): Promise<RunResult> {
    await this.#boot();
    const steps = this.#random.between(200, 300);
    for (let step = 0; step < steps; step++) await this.#step();
    const gateway = await this.#quiet();
    const found = await check({
      seed: this.#seed,
      store: gateway.store,
      messages: this.#callers.messages,
      cancelled: this.#callers.cancelled,
      mischief: this.#mischief,
      engine: this.#engine,
      logs: this.#logs,
    });
    const texts = [...this.#disk.dump(), ...this.#said];
    this.#findings.push(...findSecrets(texts, 'what is stored or said'));
    this.#tally['refused'] = this.#disk.refused;
    await this.#countEnds(gateway);
    const findings = [...this.#findings, ...this.#watch.findings, ...found];
    return { findings, trace: this.#trace, tally: this.#tally };
  }

  /** Rules that never came to bear prove nothing. */
  async #countEnds({ store }: ExecGateway): Promise<void> {
    const { items } = await store.listExecutions({}, { size: 1000 });
    for (const { state, haltReason, rerunOf, counters } of items) {
      this.#count(haltReason ?? state);
      if (rerunOf !== null) this.#count('run again');
      if (counters.retried > 0) this.#count('retried');
    }
  }

  close(): void {
    this.#gateway?.kill();
    this.#zombie?.kill();
    this.#disk.close();
  }

  async #step(): Promise<void> {
    if (this.#gateway === undefined && this.#random.chance(0.4)) return this.#boot();
    const action = this.#random.weighted(this.#steps);
    this.#count(action);
    const own: Partial<Record<Step, () => void | Promise<void>>> = {
      advance: () => this.#advance(this.#random.between(0, 4 * SECOND)),
      post: () => this.#post(),
      duplicate: () => this.#act('duplicate', () => this.#callers.sendAgain()),
      cancel: () => this.#cancel(),
      rerun: () => this.#rerun(),
      crash: () => this.#planCrash(),
      freeze: () => this.#freeze(),
      stop: () => this.#stop(),
      refuse: () => this.#refuse(),
    };
    await (own[action] ?? (() => this.#mischief.do(action)))();
  }

  #refuse(): void {
    const fault = this.#random.pick<DiskFault>(['full', 'io-error', 'busy']);
    this.#disk.fail(fault, this.#random.between(1, 8));
  }

  // ---- what senders and people do -----------------------------------------------------------------------------

  #post(): Promise<void> {
    const message = this.#callers.newMessage();
    return this.#act(`post ${message.n} ${message.job}`, () => this.#callers.send(message));
  }

  async #cancel(): Promise<void> {
    const name = this.#anyExecution(false);
    if (name !== undefined) await this.#act(`cancel ${name}`, () => this.#callers.cancel(name));
  }

  async #rerun(): Promise<void> {
    const name = this.#anyExecution(true);
    if (name !== undefined) await this.#act(`rerun ${name}`, () => this.#callers.rerun(name));
  }

  #anyExecution(ended: boolean): string | undefined {
    if (this.#gateway === undefined) return undefined;
    const names = this.#disk.executions(ended);
    return names.length === 0 ? undefined : this.#random.pick(names);
  }

  // ---- what goes wrong ----------------------------------------------------------------------------------------

  #planCrash(): void {
    this.#crashPlan = new CrashPlan(this.#random);
    this.#note(String(this.#crashPlan));
  }

  /** SIGSTOP: another takes over; later it goes on for a while, not knowing that. */
  async #freeze(): Promise<void> {
    if (this.#gateway === undefined || this.#zombie !== undefined) return;
    const frozen = this.#gateway;
    frozen.freeze();
    this.#zombie = frozen;
    const wakes = this.#random.between(3 * SECOND, 40 * SECOND);
    this.#note(`freeze for ${wakes} ms`);
    this.#time.setTimer(wakes, () => frozen.alive && frozen.thaw());
    this.#time.setTimer(wakes + this.#random.between(0, 10 * SECOND), () => this.#endZombie(frozen));
    await this.#boot();
  }

  #endZombie(frozen: ExecGateway): void {
    frozen.kill();
    if (this.#zombie === frozen) this.#zombie = undefined;
  }

  /** SIGTERM: it ends in time, whatever it was about to do. */
  async #stop(): Promise<void> {
    const gateway = this.#gateway;
    if (gateway === undefined) return;
    // A disk that refuses keeps it waiting, and then the process ends all the same.
    this.#disk.heal();
    this.#gateway = undefined;
    this.#stopping = gateway;
    let stopped = false;
    const message = this.#callers.newMessage();
    const note = { answered: false };
    await this.#act(`SIGTERM while message ${message.n} comes`, () => {
      this.#callers.send(message, gateway, note);
      const stop = this.#wraps.stop ?? ((one: ExecGateway) => one.stop());
      void stop(gateway).finally(() => (stopped = true));
    });
    for (let ms = 0; ms < STOP_WITHIN_MS && !stopped; ms += 100) await this.#advance(100);
    if (!stopped)
      this.#findings.push({ kind: 'stuck', what: `after SIGTERM: ${gateway.executor.status().message}` });
    if (!note.answered)
      this.#findings.push({
        kind: 'lost',
        what: `message ${message.n} came before SIGTERM and got no answer`,
      });
    this.#stopping = undefined;
    gateway.kill();
    await this.#boot();
  }

  // ---- how time goes ------------------------------------------------------------------------------------------

  async #boot(): Promise<void> {
    const gateway = new ExecGateway({
      time: this.#time,
      disk: this.#disk,
      ids: this.#ids,
      random: this.#random,
      engine: this.#engine,
      objects: this.#objects,
      secrets: this.#secrets,
      logs: this.#logs,
      finishing: (params) => this.#watch.finishing(params),
      finished: (who, params) => this.#mischief.finished(who, params),
      wraps: this.#wraps,
      life: ++this.#lives,
      owners: this.#owners,
      said: (line) => void this.#said.push(line),
      reached: (who, where) => void (who === this.#gateway && this.#planReached(where)),
    });
    this.#gateway = gateway;
    this.#count('boot');
    await this.#act('boot', () => void gateway.start());
  }

  async #advance(ms: number): Promise<void> {
    this.#note(`advance ${ms}`);
    await this.#time.advance(ms, () => this.#settle());
  }

  async #act(what: string, action: () => unknown): Promise<void> {
    this.#note(what);
    action();
    await this.#settle();
  }

  /** Runs what is ready, commit by commit; the planned crash may come in between. */
  async #settle(): Promise<void> {
    for (;;) {
      await this.#microtasks();
      this.#watch.look();
      const gateway = this.#gateway;
      const flush = gateway?.takeFlush() ?? this.#zombie?.takeFlush() ?? this.#stopping?.takeFlush();
      if (flush === undefined) break;
      if (this.#planReached('before a commit')) continue;
      flush();
      this.#planReached('after a commit');
    }
    // At once, or long after: the disk may have kept it waiting.
    if (this.#gateway?.failed !== undefined) this.#crash('its start failed');
    this.#mischief.look();
    this.#checkOwners();
  }

  /** A frozen one does not know yet; everyone else must. */
  #checkOwners(): void {
    const awake = [this.#gateway, this.#zombie, this.#stopping].filter((one) => one?.frozen === false);
    const owners = awake.filter((one) => one?.executor.holdsEngine() === true).length;
    if (owners > 1)
      this.#findings.push({ kind: 'overlap', what: `${owners} gateways are in charge of the engine` });
  }

  async #microtasks(): Promise<void> {
    if (this.#crashPlan?.where === 'between two awaits') {
      for (let ticks = this.#crashPlan.ticks; ticks > 0; ticks--) await Promise.resolve();
      this.#planReached('between two awaits');
    }
    await quiesce();
  }

  /** Counts a boundary of this kind; at the planned one the gateway dies, and this returns true. */
  #planReached(where: CrashPlace): boolean {
    if (this.#gateway === undefined || this.#crashPlan?.isNow(where) !== true) return false;
    this.#crash(where);
    return true;
  }

  #crash(where: string): void {
    this.#note(`crash ${where}`);
    this.#count(`crash ${where}`);
    this.#crashPlan = undefined;
    this.#gateway?.kill();
    this.#gateway = undefined;
    this.#disk.crash();
  }

  /** No more faults, until everything has ended; returns the gateway that runs then. */
  async #quiet(): Promise<ExecGateway> {
    this.#note('quiet');
    this.#crashPlan = undefined;
    this.#disk.heal();
    this.#mischief.end();
    if (this.#zombie !== undefined) this.#endZombie(this.#zombie);
    for (let ms = 0; ms < QUIET_MS; ms += QUIET_STEP_MS) {
      if (this.#gateway === undefined) await this.#boot();
      await this.#time.advance(QUIET_STEP_MS, () => this.#settle());
      if (this.#mischief.leftToMaintenance) await this.#act('maintenance', () => this.#gateway?.maintain());
      if (await this.#allEnded()) break;
    }
    if (this.#gateway === undefined) throw new Error('the gateway does not start any more');
    return this.#gateway;
  }

  async #allEnded(): Promise<boolean> {
    if (this.#gateway === undefined || this.#engine.fake.names().length > 0) return false;
    const { pendingExecutions, runningExecutions, undecidedEvents } = await this.#gateway.store.counts();
    const open = pendingExecutions + runningExecutions + undecidedEvents;
    return open === 0 && this.#callers.messages.every(({ acked }) => acked);
  }

  #note(line: string): void {
    this.#trace.push(line);
  }

  #count(what: string): void {
    this.#tally[what] = (this.#tally[what] ?? 0) + 1;
  }
}
