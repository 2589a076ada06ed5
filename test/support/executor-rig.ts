import { ADMISSION_DEFAULTS } from '../../src/core/admission.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Attempt, Execution } from '../../src/core/execution.ts';
import { JOB_DEFAULTS } from '../../src/core/job.ts';
import type { JobSpec } from '../../src/core/job.ts';
import type { JsonObject } from '../../src/core/json.ts';
import type { Log } from '../../src/core/log.ts';
import type { LogSink, OpenLog } from '../../src/core/log-sink.ts';
import type { ObjectStore, Objects } from '../../src/core/objects.ts';
import type { Runner } from '../../src/core/runner.ts';
import type { Secrets } from '../../src/core/secrets.ts';
import type { EngineStore, ExecutorStore } from '../../src/core/store.ts';
import { Executor } from '../../src/executor/executor.ts';
import type { ExecutorSettings } from '../../src/executor/executor.ts';
import type { AdmissionView } from '../../src/executor/waiting.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { FakeRunner } from './fake-runner.ts';
import { ManualClock, settle } from './manual-clock.ts';
import { MemoryLogSink } from './memory-log-sink.ts';
import { HeldSecrets } from './object-stores.ts';
import { SeededIds } from './seeded-ids.ts';
import { FakeBodies, FakeLocalFiles, StagingObjects } from './staging-fakes.ts';
import { memoryStore } from './migrated.ts';

export interface Ports {
  readonly store: ExecutorStore & EngineStore;
  readonly runner: Runner;
  readonly logs: LogSink;
  readonly objects: Objects;
  readonly secrets: Secrets;
  readonly clock: Clock;
}

/** The production executor and store over an engine and logs in memory, all on one clock. Executors come and go. */
export class Rig {
  readonly clock = new ManualClock();
  readonly ids = new SeededIds();
  readonly store = memoryStore(this.clock, this.ids);
  readonly runner = new FakeRunner(this.clock);
  readonly logs = new MemoryLogSink();
  readonly objects = new StagingObjects();
  readonly secrets = new HeldSecrets();
  readonly localFiles = new FakeLocalFiles();
  readonly bodies = new FakeBodies();
  readonly logLines: string[] = [];
  /** What the random port draws. */
  random = 0.5;
  readonly #executors: Executor[] = [];

  async open(): Promise<this> {
    await this.store.open();
    return this;
  }

  async close(): Promise<void> {
    const stopping = Promise.all(this.#executors.map((executor) => executor.stop()));
    let stopped = false;
    void stopping.then(() => (stopped = true));
    for (let i = 0; i < 100 && !stopped; i++) await this.clock.advance(100);
    await this.store.close();
  }

  /** A new executor, as a new process would have. */
  executor(ports: Partial<Ports> = {}, settings: Partial<ExecutorSettings> = {}): Executor {
    const executor = this.mortal(ports, settings);
    this.#executors.push(executor);
    return executor;
  }

  /** What the newest executor has to give out. */
  executorView(): AdmissionView {
    const executor = this.#executors.at(-1);
    if (executor === undefined) throw new Error('there is no executor');
    return executor.admission();
  }

  /** An executor that the test ends itself, or lets die. */
  mortal(ports: Partial<Ports> = {}, settings: Partial<ExecutorSettings> = {}): Executor {
    const { store, runner, logs, objects, secrets, localFiles, bodies, clock, ids } = this;
    const expressions = createExpressions();
    return new Executor({
      store,
      runner,
      logs,
      objects,
      secrets,
      localFiles,
      bodies,
      clock,
      random: { next: () => this.random },
      ids,
      expressions,
      log: this.#log(),
      ...ports,
      settings: () => ({
        maxRunningTasks: 10,
        maxParallelism: 100,
        admission: ADMISSION_DEFAULTS,
        ...settings,
      }),
    });
  }

  async started(ports: Partial<Ports> = {}, settings: Partial<ExecutorSettings> = {}): Promise<Executor> {
    const executor = this.executor(ports, settings);
    await executor.start();
    await this.until(() => executor.status().state === 'ready');
    return executor;
  }

  /** Creates an execution; gives its name. */
  async create(spec: Partial<JobSpec> = {}, context: JsonObject = {}): Promise<string> {
    const name = `work-${this.ids.suffix(10)}`;
    await this.store.createExecution({
      uid: this.ids.uid(),
      name,
      job: 'work',
      jobGeneration: 1,
      spec: { image: 'busybox', env: {}, binds: [], ...JOB_DEFAULTS, ...spec },
      context,
      cause: { kind: 'api', principal: 'test' },
      labels: {},
    });
    return name;
  }

  container(execution: string, index = 0, attempt = 0): string {
    return `${this.store.instance()}-${execution}-t${index}-a${attempt}`;
  }

  /** Lets time pass until `done`; fails when that takes more than ten minutes of it. */
  async until(done: () => boolean | Promise<boolean>, stepMs = 50): Promise<void> {
    await settle();
    for (let passed = 0; passed < 600_000; passed += stepMs) {
      if (await done()) return;
      await this.clock.advance(stepMs);
    }
    throw new Error(`it did not happen within ten minutes; the log says:\n${this.logLines.join('\n')}`);
  }

  async ended(execution: string): Promise<Execution> {
    let row: Execution | undefined;
    await this.until(async () => {
      row = await this.store.getExecution(execution);
      return typeof row?.completionTime === 'number';
    }, 500);
    if (row === undefined) throw new Error(`there is no ${execution}`);
    return row;
  }

  /** The only, or last, attempt of a task. */
  async attempt(execution: string, index = 0): Promise<Attempt> {
    const last = (await this.store.listAttempts(execution, index)).at(-1);
    if (last === undefined) throw new Error(`${execution} has no attempt of task ${index}`);
    return last;
  }

  async running(execution: string, index = 0): Promise<void> {
    await this.until(
      async () => (await this.store.listAttempts(execution, index)).at(-1)?.state === 'RUNNING',
      10,
    );
  }

  /** Past its first moments, in which it is not told to end. */
  async settledIn(execution: string, index = 0): Promise<void> {
    await this.running(execution, index);
    await this.clock.advance(500);
  }

  #log(): Log {
    const add = (level: string) => (message: string, fields?: object) =>
      void this.logLines.push(`${level} ${message} ${fields === undefined ? '' : JSON.stringify(fields)}`);
    return { info: add('info'), warn: add('warn'), error: add('error') };
  }
}

/**
 * The ports of a process that ends before or after the n-th call of one method: from then on nothing that it calls
 * happens, nothing that it waits for comes, and its timers are dead.
 */
export class DoomedPorts {
  readonly ports: Ports;
  readonly died: Promise<void>;
  dead = false;
  #die: () => void = () => undefined;
  #calls = 0;
  readonly #place: { target: string; side: string; count: number };

  /** `place` is `<port>.<method>:<before|after>:<n>`. */
  constructor(rig: Rig, place: string) {
    const [target = '', side = '', count = '1'] = place.split(':');
    this.#place = { target, side, count: Number(count) };
    this.died = new Promise((resolve) => (this.#die = resolve));
    this.ports = {
      store: this.#wrap('store', rig.store),
      runner: this.#wrap('runner', rig.runner),
      logs: this.#wrap('logs', rig.logs),
      objects: { connection: (name) => this.#objects(rig.objects.connection(name)) },
      secrets: this.#wrap('secrets', rig.secrets),
      clock: {
        now: () => rig.clock.now(),
        elapsed: () => rig.clock.elapsed(),
        setTimer: (ms, fn) => rig.clock.setTimer(ms, () => (this.dead ? undefined : fn())),
      },
    };
  }

  #wrap<T extends object>(port: string, object: T): T {
    return new Proxy(object, {
      get: (inner, key): unknown => {
        const value: unknown = Reflect.get(inner, key);
        if (typeof value !== 'function') return value;
        if (key === 'hints')
          return (...args: unknown[]) => this.#hints(value.apply(inner, args) as AsyncIterable<unknown>);
        if (key === 'outputs')
          return (...args: unknown[]) => this.#outputs(value.apply(inner, args) as AsyncIterable<unknown>);
        if (key === 'cursor' || key === 'instance') return value.bind(inner) as unknown;
        return (...args: unknown[]) =>
          this.#call(`${port}.${String(key)}`, () => value.apply(inner, args) as unknown);
      },
    });
  }

  #objects(store: ObjectStore | undefined): ObjectStore | undefined {
    return store === undefined ? undefined : this.#wrap('objects', store);
  }

  /** `only`: this call stands for one side of another. */
  async #call(target: string, work: () => unknown, only?: string): Promise<unknown> {
    if (this.dead) return NEVER;
    const counts = target === this.#place.target && (only === undefined || only === this.#place.side);
    const here = counts && ++this.#calls === this.#place.count;
    if (here && this.#place.side === 'before') return this.#end();
    const result = await work();
    if (here) return this.#end();
    if (this.dead) return NEVER;
    return target === 'logs.open' ? this.#wrap('writer', result as OpenLog) : result;
  }

  /** `after`: when all files of one output have been taken. */
  async *#outputs(files: AsyncIterable<unknown>): AsyncGenerator {
    await this.#call('runner.outputs', () => undefined, 'before');
    for await (const file of files) {
      if (this.dead) await NEVER;
      yield file;
    }
    await this.#call('runner.outputs', () => undefined, 'after');
  }

  async *#hints(hints: AsyncIterable<unknown>): AsyncGenerator {
    for await (const hint of hints) {
      if (this.dead) await NEVER;
      yield hint;
    }
  }

  #end(): Promise<never> {
    this.dead = true;
    this.#die();
    return NEVER;
  }
}
const NEVER = new Promise<never>(() => undefined);
