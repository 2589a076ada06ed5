import type { PullProgress } from '../core/runner.ts';
import { clip } from '../lib/clip.ts';
import { parseImageRef } from '../lib/image-ref.ts';
import { sizeText } from '../lib/size.ts';

/** They may hold what an engine or a registry says, and stand in each line of a list. */
const MAX_CHARS = 300;

/** As a sentence's end after "It"; or what gives it when somebody asks, from what is being pulled now. */
export type HoldUpWords = string | ((pulls: readonly PullProgress[]) => string);

/** What a begun attempt waits for now. Told while it lasts, and never stored: a process that goes on begins anew. */
export class HoldUp {
  #words: HoldUpWords | null = null;

  /** null = nothing keeps it. */
  words(pulls: readonly PullProgress[]): string | null {
    return typeof this.#words === 'function' ? this.#words(pulls) : this.#words;
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

/** One line of bounded length, without a full stop: it goes on as a part of others. */
export function shortWords(words: string): string {
  const line = words.replaceAll(/\s+/g, ' ');
  return clip(line, MAX_CHARS).replace(/\.$/, '');
}

/**
 * `waits for image team/report:2: 12 MiB of 80 MiB, 3 of 7 layers`; how far it is stands there while it is pulled, by
 * any of `names`.
 */
export function imageWords(names: readonly string[]): (pulls: readonly PullProgress[]) => string {
  const wanted = new Set(names.map(pullOf));
  const words = `waits for image ${names[0]}`;
  return (pulls) => {
    const pull = pulls.find(({ image }) => wanted.has(pullOf(image)));
    if (pull === undefined) return words;
    const { bytes, totalBytes, layers, layersDone } = pull;
    const sizes = totalBytes === 0 ? [] : [`${sizeText(bytes)} of ${sizeText(totalBytes)}`];
    const done = layers === 0 ? [] : [`${layersDone} of ${layers} layers`];
    return `${words}: ${[...sizes, ...done].join(', ') || 'its pull has begun'}`;
  };
}

/** Executions whose image is written in other ways share one pull. */
function pullOf(image: string): string {
  const ref = parseImageRef(image);
  return ref === null ? image : `${ref.repository} ${ref.tag}`;
}
