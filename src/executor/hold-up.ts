import type { PullProgress } from '../core/runner.ts';
import { sizeText } from '../lib/size.ts';

/** As a sentence's end after "It", or what gives it when somebody asks. */
export type HoldUpWords = string | (() => string);

/** What a begun attempt waits for now. Told while it lasts, and never stored: a process that goes on begins anew. */
export class HoldUp {
  /** Why the engine last did not tell what the container does; undefined where it did. */
  refusal: string | undefined;
  #words: HoldUpWords | null = null;

  /** null = nothing keeps it. */
  get words(): string | null {
    if (this.refusal !== undefined)
      return `waits for the container engine to tell what its container does: ${this.refusal}`;
    return typeof this.#words === 'function' ? this.#words() : this.#words;
  }

  /** While `work` goes on; what was before counts again after it. */
  async during<T>(words: HoldUpWords, work: () => Promise<T>): Promise<T> {
    const before = this.#words;
    this.#words = words;
    try {
      return await work();
    } finally {
      this.#words = before;
    }
  }
}

/** `waits for image team/report:2: 12 MiB of 80 MiB, 3 of 7 layers`; how far it is stands there while it is pulled. */
export function imageWords(image: string, pulls: readonly PullProgress[]): string {
  const pull = pulls.find((one) => one.image === image);
  if (pull === undefined) return `waits for image ${image}`;
  const { bytes, totalBytes, layers, layersDone } = pull;
  const sizes = totalBytes === 0 ? [] : [`${sizeText(bytes)} of ${sizeText(totalBytes)}`];
  const done = layers === 0 ? [] : [`${layersDone} of ${layers} layers`];
  return `waits for image ${image}: ${[...sizes, ...done].join(', ') || 'its pull has begun'}`;
}
