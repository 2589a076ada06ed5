import type { Clock } from '../core/clock.ts';

/** Wakes one waiter; a ring while nobody waits is kept for the next. */
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  async wait(): Promise<void> {
    if (!this.#rung) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#rung = false;
    this.#wake = undefined;
  }
}

/** Rings a bell once, later. Set again it forgets what it was set to. */
export class BellTimer {
  readonly #clock: Clock;
  readonly #bell: Bell;
  #cancel = (): void => undefined;

  constructor(clock: Clock, bell: Bell) {
    this.#clock = clock;
    this.#bell = bell;
  }

  set(ms: number): void {
    this.#cancel();
    this.#cancel = this.#clock.setTimer(ms, () => this.#bell.ring());
  }

  cancel(): void {
    this.#cancel();
  }
}
