import { z } from 'zod';
import type { PullProgress } from '../../core/runner.ts';

/** One object of the engine's answer to a pull; everything else in it is ignored. */
const lineShape = z.object({
  error: z.string().optional(),
  status: z.string().optional(),
  id: z.string().optional(),
  progressDetail: z.object({ current: z.number().optional(), total: z.number().optional() }).nullish(),
});
type Line = z.infer<typeof lineShape>;

interface Layer {
  bytes: number;
  total: number;
  done: boolean;
}

/** Of a layer: it is here, by the engine's words and Podman's. */
const DONE = /^(pull complete|download complete|already exists)/i;
const BEGUN = /^(pulling fs layer|waiting|downloading|verifying checksum|retrying|extracting)/i;

/** Adds up what an engine tells of one pull. */
export class PullTally {
  readonly #image: string;
  readonly #startTime: number;
  readonly #layers = new Map<string, Layer>();

  constructor(image: string, startTime: number) {
    this.#image = image;
    this.#startTime = startTime;
  }

  /** One line of the answer; gives the registry's error, if it is one. Errors: SyntaxError. */
  take(text: string): string | null {
    if (text.trim() === '') return null;
    const line = lineShape.safeParse(JSON.parse(text));
    if (!line.success) return null;
    if (line.data.error !== undefined) return line.data.error;
    this.#count(line.data);
    return null;
  }

  snapshot(): PullProgress {
    const layers = [...this.#layers.values()];
    const sum = (of: (layer: Layer) => number) => layers.reduce((all, layer) => all + of(layer), 0);
    return {
      image: this.#image,
      startTime: this.#startTime,
      layers: layers.length,
      layersDone: layers.filter(({ done }) => done).length,
      bytes: sum(({ bytes }) => bytes),
      totalBytes: sum(({ total }) => total),
    };
  }

  #count({ status = '', id, progressDetail }: Line): void {
    if (id === undefined || !(DONE.test(status) || BEGUN.test(status))) return;
    const layer = this.#layers.get(id) ?? { bytes: 0, total: 0, done: false };
    this.#layers.set(id, layer);
    const { current, total } = progressDetail ?? {};
    // What is unpacked has another size than what was sent.
    if (/^downloading/i.test(status) && current !== undefined) {
      layer.bytes = current;
      layer.total = Math.max(total ?? 0, current);
    }
    if (!DONE.test(status)) return;
    layer.done = true;
    layer.bytes = layer.total;
  }
}
