import type { Charge } from '../core/admission.ts';
import { errorText } from '../core/errors.ts';
import type { Attempt } from '../core/execution.ts';
import type { Claim } from '../core/store.ts';
import { pause } from '../lib/service.ts';
import { AttemptLife } from './attempt-life.ts';
import { shortWords } from './hold-up.ts';
import type { LifeContext } from './life-context.ts';
import { SessionOver } from './session.ts';

/** A life that ends by a bug begins anew after a pause; at the third time the attempt fails, with the reason. */
const MAX_CRASHES = 3;
const CRASH_PAUSE_MS = 5_000;
const AFTER_CRASH = 'begins anew in some seconds: the gateway made an error, which its log tells of';

/** A slot has become free; whether it is known that only what waits for room can follow. */
type OnFree = (nothingFollows: boolean) => void;

/**
 * The attempts that live in this session, each in its own supervised promise: nothing that one does ends another.
 * An attempt holds its slot from the claim until its end is stored.
 */
export class LiveAttempts {
  readonly #context: LifeContext;
  /** By container name. */
  readonly #lives = new Map<string, AttemptLife>();
  readonly #running = new Set<Promise<void>>();
  readonly #onFree: OnFree;

  constructor(context: LifeContext, onFree: OnFree) {
    this.#context = context;
    this.#onFree = onFree;
  }

  /** Slots in use. */
  get size(): number {
    return this.#lives.size;
  }

  /** None lives any more, and no container of one is still being removed. */
  get quiet(): boolean {
    return this.#running.size === 0;
  }

  /** What they hold of the engine's host. */
  charges(): Charge[] {
    return Array.from(this.#lives.values(), (life) => life.charge);
  }

  /** What those of an execution wait for that wait, by their tasks. */
  waits(execution: string): ReadonlyMap<number, string> {
    const lives = [...this.#lives.values()].filter(({ task }) => task.execution === execution);
    const pulls = lives.length === 0 ? [] : this.#context.runner.pulls();
    return new Map(
      lives.flatMap((life) => {
        const words = life.waitWords(pulls);
        return words === null ? [] : [[life.task.index, shortWords(words)] as const];
      }),
    );
  }

  has(name: string): boolean {
    return this.#lives.has(name);
  }

  add(claim: Claim, resumed: boolean): void {
    const running = this.#supervise(claim, resumed);
    this.#running.add(running);
    void running.then(() => this.#running.delete(running));
  }

  ring(name: string): void {
    this.#lives.get(name)?.ring();
  }

  ringAll(): void {
    for (const life of this.#lives.values()) life.ring();
  }

  /** Rings those whose container does not run any more, or is not there. */
  ringAllBut(running: ReadonlySet<string>): void {
    for (const [name, life] of this.#lives) if (!running.has(name)) life.ring();
  }

  stopRequested(attempts: readonly Attempt[]): void {
    for (const attempt of attempts) this.#lives.get(attempt.containerName)?.stopRequested(attempt);
  }

  /** Resolves when none lives any more, the removal of containers included. Never rejects. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #supervise(first: Claim, resumed: boolean): Promise<void> {
    const { session, clock, log } = this.#context;
    const name = first.attempt.containerName;
    let claim: Claim | undefined = first;
    for (let crashes = 0; claim !== undefined;) {
      const life = new AttemptLife(this.#context, claim, resumed || crashes > 0, (nothingFollows) =>
        this.#free(name, nothingFollows),
      );
      this.#lives.set(name, life);
      try {
        if (crashes < MAX_CRASHES) await life.run();
        else
          await life.fail(
            'The gateway could not run this attempt because of an error of its own; see its log.',
          );
        break;
      } catch (error) {
        if (error instanceof SessionOver) break;
        crashes += 1;
        log.error(`Attempt ${name} met an unexpected error: ${errorText(error)}`, { error });
        await life.holdUp.during(AFTER_CRASH, () => pause(clock, CRASH_PAUSE_MS, session.signal));
        claim = await this.#reload(claim);
      }
    }
    this.#free(name, false);
  }

  /** The row as it is now; undefined where it has ended or the session has. */
  async #reload(claim: Claim): Promise<Claim | undefined> {
    if (this.#context.session.signal.aborted) return undefined;
    try {
      const open = await this.#context.store.openAttempts(claim.attempt.engine);
      return open.find(({ attempt }) => attempt.containerName === claim.attempt.containerName);
    } catch {
      // It cannot be read now: what is known is enough to begin with, every step being idempotent.
      return claim;
    }
  }

  #free(name: string, nothingFollows: boolean): void {
    if (this.#lives.delete(name)) this.#onFree(nothingFollows);
  }
}
