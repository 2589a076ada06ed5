import type { Clock } from '../../src/core/clock.ts';
import type { LogStream, LogWriter } from '../../src/core/log-sink.ts';
import type { ContainerSpec, Exit, Hint } from '../../src/core/runner.ts';
import { deferred } from '../../src/lib/deferred.ts';
import type { Deferred } from '../../src/lib/deferred.ts';
import { newContainer } from './fake-container.ts';
import type { Attachment, Container, Script } from './fake-container.ts';

/** The containers of a fake engine: what they do once they run, and who listens to them. */
export class FakeContainers {
  /** How often each was really started: more than once is a bug of the caller. */
  readonly starts = new Map<string, number>();
  /** Highest number that ran at the same time. */
  maxRunning = 0;
  readonly #clock: Clock;
  readonly #hint: (hint: Hint) => void;
  readonly #containers = new Map<string, Container>();
  /** Settles when any container has put something out or ended, or the engine went away. */
  #moved: Deferred<void> = deferred();

  constructor(clock: Clock, hint: (hint: Hint) => void) {
    this.#clock = clock;
    this.#hint = hint;
  }

  all(): Container[] {
    return [...this.#containers.values()];
  }

  find(name: string): Container | undefined {
    return this.#containers.get(name);
  }

  get(name: string): Container {
    const container = this.#containers.get(name);
    if (container === undefined) throw new Error(`there is no container ${name}`);
    return container;
  }

  create(spec: ContainerSpec, script: Script, foreign = false): Container {
    const container = newContainer(spec, script, this.#clock.now(), foreign);
    this.#containers.set(spec.name, container);
    return container;
  }

  /** From now on its output goes there too; true = all of it did. */
  attach(container: Container, log: LogWriter): Promise<boolean> {
    const attached: Attachment = { log, captured: deferred(), last: Promise.resolve(), broken: false };
    container.attached = attached;
    return attached.captured.promise;
  }

  start(container: Container): number {
    const startTime = this.#clock.now();
    const { name } = container.spec;
    container.status = { state: 'running', startTime };
    if (!container.foreign) this.starts.set(name, (this.starts.get(name) ?? 0) + 1);
    this.maxRunning = Math.max(this.maxRunning, this.#running());
    const { output = [], exitAt, exit } = container.script;
    for (const { at = 0, stream = 'stdout', text } of output) {
      const bytes = (): Buffer => Buffer.from(typeof text === 'string' ? text : text());
      this.later(container, at, () => this.output(container, stream, bytes()));
    }
    if (exitAt !== undefined) this.later(container, exitAt, () => this.exit(container, exit ?? {}));
    return startTime;
  }

  output(container: Container, stream: LogStream, data: Buffer): void {
    if (container.status.state !== 'running') return;
    container.output.push({ stream, data });
    const attached = container.attached;
    if (attached !== undefined && !attached.broken) {
      attached.last = attached.last.then(async () => {
        if (attached.broken) return;
        try {
          await attached.log.write(stream, data);
        } catch {
          this.cut(container);
        }
      });
    }
    this.moved();
  }

  exit(container: Container, exit: Partial<Exit>): void {
    if (container.status.state !== 'running') return;
    for (const cancel of container.timers.splice(0)) cancel();
    container.status = {
      state: 'exited',
      startTime: container.status.startTime,
      endTime: this.#clock.now(),
      exit: {
        exitCode: exit.signal === undefined ? 0 : null,
        signal: null,
        oomKilled: false,
        error: null,
        ...exit,
      },
    };
    const attached = container.attached;
    if (attached !== undefined) void attached.last.then(() => attached.captured.resolve(!attached.broken));
    container.ended.resolve();
    this.moved();
    this.#hint({ kind: 'container', name: container.spec.name });
  }

  /** SIGTERM, and SIGKILL after the grace. */
  stop(container: Container, graceMs: number): void {
    if (container.status.state !== 'running') return;
    const { onTerm = { code: 143, afterMs: 0 } } = container.script;
    if (onTerm !== null) {
      const { code, afterMs, output } = onTerm;
      this.later(container, afterMs, () => {
        for (const { stream = 'stdout', text } of output ?? [])
          this.output(container, stream, Buffer.from(text));
        this.exit(container, { exitCode: code });
      });
    }
    this.later(container, graceMs, () => this.kill(container));
  }

  kill(container: Container): void {
    if (container.script.unkillable !== true) this.exit(container, { exitCode: 137 });
  }

  drop(name: string): void {
    const container = this.#containers.get(name);
    if (container === undefined) return;
    for (const cancel of container.timers.splice(0)) cancel();
    this.cut(container);
    this.#containers.delete(name);
    container.status = { state: 'missing' };
    this.moved();
    this.#hint({ kind: 'container', name });
  }

  /** Its attached stream breaks. */
  cut(container: Container): void {
    const attached = container.attached;
    if (attached === undefined) return;
    attached.broken = true;
    attached.captured.resolve(false);
    container.attached = undefined;
  }

  /** Its attached stream stays open, and nothing comes by it any more, not even its end. */
  stall(container: Container): void {
    if (container.attached === undefined) return;
    container.attached.last = new Promise(() => undefined);
  }

  moved(): void {
    this.#moved.resolve();
    this.#moved = deferred();
  }

  /** Resolves when something may have changed, or with `signal`. */
  async move(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const ended = deferred<void>();
    const end = (): void => ended.resolve();
    signal.addEventListener('abort', end, { once: true });
    await Promise.race([this.#moved.promise, ended.promise]);
    signal.removeEventListener('abort', end);
  }

  later(container: Container, ms: number, fn: () => void): void {
    if (ms === 0) queueMicrotask(fn);
    else container.timers.push(this.#clock.setTimer(ms, fn));
  }

  #running(): number {
    return this.all().filter(({ status }) => status.state === 'running').length;
  }
}
