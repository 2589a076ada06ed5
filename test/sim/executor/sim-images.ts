import { TappetError } from '../../../src/core/errors.ts';
import type { ErrorCode } from '../../../src/core/errors.ts';
import type { PullProgress } from '../../../src/core/runner.ts';
import { unavailable } from '../../support/fake-runner.ts';
import type { VirtualTime } from '../virtual-time.ts';

const LAYERS = 4;
const BYTES = 40_000_000;

export interface PullPlan {
  readonly ms: number;
  /** What it fails with after that; absent = it brings the image. */
  readonly fails?: ErrorCode;
}

/** The images of the simulated engine: all are there until somebody removes one; then it is pulled, which takes its time. */
export class SimImages {
  readonly absent = new Set<string>();
  readonly #time: VirtualTime;
  readonly #down: () => boolean;
  readonly #plans: PullPlan[] = [];
  readonly #pulls = new Map<string, { readonly begin: number; readonly ms: number; done: Promise<void> }>();

  constructor(time: VirtualTime, down: () => boolean) {
    this.#time = time;
    this.#down = down;
  }

  /** Somebody removes it; the next pull goes as `plan` says. */
  lose(image: string, plan: PullPlan): void {
    this.absent.add(image);
    this.#plans.push(plan);
  }

  heal(): void {
    this.#plans.length = 0;
  }

  progress(): readonly PullProgress[] {
    return [...this.#pulls].map(([image, { begin, ms }]) => {
      const part = Math.max(0, Math.min(1, (this.#time.now() - begin) / ms));
      const layersDone = Math.floor(part * LAYERS);
      const bytes = Math.floor(part * BYTES);
      return { image, startTime: begin, layers: LAYERS, layersDone, bytes, totalBytes: BYTES };
    });
  }

  /** The image is there afterwards; null = it was before. One pull of an image at a time. */
  async pull(image: string): Promise<number | null> {
    if (!this.absent.has(image)) return null;
    let pull = this.#pulls.get(image);
    if (pull === undefined) {
      const plan = this.#plans.shift() ?? { ms: 1_000 };
      pull = { begin: this.#time.now(), ms: plan.ms, done: this.#run(image, plan) };
      this.#pulls.set(image, pull);
    }
    await pull.done;
    return BYTES;
  }

  async #run(image: string, { ms, fails }: PullPlan): Promise<void> {
    try {
      await new Promise<void>((resolve) => void this.#time.setTimer(ms, resolve));
      if (this.#down()) throw unavailable();
      if (fails !== undefined) throw new TappetError(fails, `simulated: the pull of ${image}`);
      this.absent.delete(image);
    } finally {
      this.#pulls.delete(image);
    }
  }
}
