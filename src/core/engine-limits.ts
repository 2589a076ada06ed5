/** How long the container engine may take for one call, to the end of its answer. */
export interface EngineLimits {
  /** Ordinary calls. */
  readonly answerMs: number;
  /** Create, start and remove: a busy engine takes seconds for them (p50 2.9 s at 32 starts at once). */
  readonly orderMs: number;
}

export const ENGINE_DEFAULTS: EngineLimits = { answerMs: 10_000, orderMs: 60_000 };
