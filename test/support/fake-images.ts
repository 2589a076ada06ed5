import type { PinnedImage } from '../../src/core/execution.ts';
import type { PrepareOptions, PreparedImage } from '../../src/core/runner.ts';

/** The images of a fake engine: all there, unless a test says otherwise. */
export class FakeImages {
  /** What names stand for now. */
  readonly tags = new Map<string, PinnedImage>();
  /** The bytes that the next calls of `prepare` pull. */
  readonly pulling: (number | null)[] = [];
  /** Digests that the engine does not have (any more). */
  readonly gone = new Set<string>();
  /** What each `prepare` was asked for. */
  readonly prepared: PrepareOptions[] = [];
  /** What `removeImage` says, by digest; else `removed`. */
  readonly removals = new Map<string, 'kept' | 'missing'>();

  prepare(image: string, options: PrepareOptions): PreparedImage {
    this.prepared.push(options);
    const tag = this.tags.get(image) ?? { digest: `sha256:${image}`, repoDigest: null };
    return { ...(options.pinned ?? tag), pulledBytes: this.pulling.shift() ?? null };
  }
}
