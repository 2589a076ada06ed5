import { TappetError } from '../../../src/core/errors.ts';
import type { EnsureOptions, PrepareOptions, PreparedImage, Runner } from '../../../src/core/runner.ts';
import type { ContainerSpec } from '../../../src/core/runner.ts';
import { FakeRunner, unavailable } from '../../support/fake-runner.ts';
import type { Method } from '../../support/fake-runner.ts';
import type { VirtualTime } from '../virtual-time.ts';
import { HOST } from './scenario.ts';
import { SimImages } from './sim-images.ts';

/** The deadlines of calls in `server.engine`: of what only asks, and of orders. */
const ANSWER_MS = 10_000;
const ORDER_MS = 60_000;
/** The runner takes an order to stop for taken after so long. */
const STOP_TAKEN_MS = 250;
const ORDERS: ReadonlySet<Method> = new Set(['ensure', 'kill', 'remove']);

/** How one call is answered: `ms` later, or not at all until its deadline, and whether it works before that or after. */
export interface Lateness {
  readonly method: Method;
  readonly ms: number | 'never';
  readonly works: 'at once' | 'late' | 'never';
}

/** A container engine that is slow, silent, half-way or restarted as a real one is, around the fake one. */
export class SimEngine {
  readonly fake: FakeRunner;
  readonly images: SimImages;
  /** Containers that ended because the engine did, by name, with their exit codes. */
  readonly endedWithEngine = new Map<string, number>();
  /** Names that somebody else has taken. */
  readonly strangers = new Set<string>();
  readonly #time: VirtualTime;
  readonly #late: Lateness[] = [];
  #halves = 0;

  constructor(time: VirtualTime) {
    this.#time = time;
    this.fake = new FakeRunner(time);
    this.fake.host = HOST;
    this.images = new SimImages(time, () => this.fake.isDown);
  }

  /** As one process sees it; what is still under way when that dies is not done any more. */
  runner(alive: () => boolean): Runner {
    const { fake } = this;
    const calls: Partial<Runner> = {
      prepare: (image, options) => this.#call('prepare', alive, () => this.#prepare(image, options)),
      ensure: (spec, log, options) => this.#call('ensure', alive, () => this.#ensure(spec, log, options)),
      inspect: (name) => this.#call('inspect', alive, () => fake.inspect(name)),
      stop: (name, graceMs) => this.#stop(alive, () => fake.stop(name, graceMs)),
      kill: (name) => this.#call('kill', alive, () => fake.kill(name)),
      remove: (name) => this.#call('remove', alive, () => fake.remove(name)),
      list: () => this.#call('list', alive, () => fake.list()),
      logs: (name, log, signal) => this.#call('logs', alive, () => fake.logs(name, log, signal)),
      pulls: () => this.images.progress(),
    };
    return new Proxy<Runner>(fake, {
      get: (inner, key): unknown => {
        const value: unknown = Reflect.get(calls, key) ?? Reflect.get(inner, key);
        return typeof value === 'function' ? value.bind(inner) : value;
      },
    });
  }

  /** The next call of its method is answered so. */
  answerLate(lateness: Lateness): void {
    this.#late.push(lateness);
  }

  /** The next container is created, and then the engine does not answer: it is not started. */
  stopHalfWay(): void {
    this.#halves += 1;
  }

  /** No fault is left that has not come yet. */
  heal(): void {
    this.#late.length = 0;
    this.#halves = 0;
    this.images.heal();
  }

  /** Without live-restore it ends its containers before it ends. */
  restart(liveRestore: boolean, code: number): string[] {
    const { fake } = this;
    const running = fake.names().filter((name) => fake.statusOf(name).state === 'running');
    if (!liveRestore)
      for (const name of running) {
        this.endedWithEngine.set(name, code);
        fake.exit(name, { exitCode: code });
      }
    fake.goDown();
    return liveRestore ? [] : running;
  }

  /** Somebody else's container has the name of `spec`. */
  occupy(spec: ContainerSpec): void {
    this.strangers.add(spec.name);
    this.fake.plant(spec, true, true);
  }

  async #prepare(image: string, options: PrepareOptions | undefined): Promise<PreparedImage> {
    const pulledBytes = await this.images.pull(image);
    return { ...(await this.fake.prepare(image, options)), pulledBytes };
  }

  async #ensure(
    spec: ContainerSpec,
    log: Parameters<Runner['ensure']>[1],
    options: EnsureOptions | undefined,
  ): ReturnType<Runner['ensure']> {
    const { fake } = this;
    if (fake.statusOf(spec.name).state === 'missing' && this.images.absent.has(spec.image))
      throw new TappetError('IMAGE_NOT_FOUND', `There is no image ${spec.image}.`);
    if (this.#halves === 0 || fake.isDown || fake.statusOf(spec.name).state !== 'missing')
      return fake.ensure(spec, log, options);
    this.#halves -= 1;
    options?.mayAct?.();
    fake.plant(spec, false);
    await this.#pause(ORDER_MS);
    throw unavailable();
  }

  /** The order counts as taken soon, whatever becomes of it. */
  async #stop(alive: () => boolean, order: () => Promise<void>): Promise<void> {
    const late = this.#take('stop');
    if (late === undefined) return order();
    if (late.works === 'at once') await order();
    if (late.works === 'late' && late.ms !== 'never')
      this.#time.setTimer(late.ms, () => void (alive() && order().catch(() => undefined)));
    await this.#pause(STOP_TAKEN_MS);
  }

  async #call<T>(method: Method, alive: () => boolean, work: () => Promise<T>): Promise<T> {
    const late = this.#take(method);
    if (late === undefined) return work();
    const ms = late.ms === 'never' ? (ORDERS.has(method) ? ORDER_MS : ANSWER_MS) : late.ms;
    if (late.works === 'at once') {
      const result = await work();
      await this.#pause(ms);
      if (late.ms === 'never' || this.fake.isDown) throw unavailable();
      return result;
    }
    await this.#pause(ms);
    if (late.ms === 'never' || late.works === 'never') throw unavailable();
    // Its connection has ended with the process that asked.
    if (!alive()) return new Promise<never>(() => undefined);
    return work();
  }

  #take(method: Method): Lateness | undefined {
    const at = this.#late.findIndex((one) => one.method === method);
    return at === -1 ? undefined : this.#late.splice(at, 1)[0];
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#time.setTimer(ms, resolve));
  }
}
