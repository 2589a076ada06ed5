/**
 * Who may touch the containers of an engine. One row per engine: owner, epoch, leaseUntil. A new owner raises the
 * epoch; every write about attempts says "where epoch is mine" and fails with STALE_EPOCH otherwise.
 */
export interface EngineStore {
  /**
   * Takes the engine if it is free, mine, its owner is provably dead, or has it still as `silent` says: whoever asks has
   * seen nothing else for a whole lease, by a clock that nobody sets. The time of day decides nothing: where it is set
   * ahead and back, two owners would each have a lease by their own reckoning.
   */
  acquireEngine(engine: string, owner: string, leaseMs: number, silent?: HeldLease): Promise<EngineLease>;
  /** Errors: STALE_EPOCH. */
  renewEngine(engine: string, epoch: number, leaseMs: number): Promise<void>;
  /** Ends the lease at once; no error where it is no longer ours. */
  releaseEngine(engine: string, epoch: number): Promise<void>;
  /** Engines that have attempts which have not ended, by name: nobody but them knows what became of these. */
  enginesInUse(): Promise<EngineInUse[]>;
  /**
   * Ends all that is open on an engine which is gone for good: every attempt as CONTAINER_LOST, none tried again, as its
   * container may run on where nobody sees it. The epoch rises, so that nothing is written under the last one. `held`,
   * and nothing changed, while somebody is in charge of it. Repeated, there is nothing left to end.
   */
  forgetEngine(params: ForgetEngine): Promise<ForgetResult>;
}
export interface ForgetEngine {
  readonly engine: string;
  /** The principal that asked. */
  readonly by: string;
}
export type ForgetResult =
  | { readonly outcome: 'forgotten'; readonly endedAttempts: number }
  | { readonly outcome: 'held' };
export interface EngineInUse {
  readonly engine: string;
  /** At least 1. */
  readonly openAttempts: number;
}
export type EngineLease = { readonly held: true; readonly epoch: number } | HeldLease;
/** By another. */
export interface HeldLease {
  readonly held: false;
  readonly owner: string;
  /** Another with each renewal. */
  readonly leaseUntil: number;
}

/** Its owner has given no sign of life in between. */
export function isSameLease(before: HeldLease | undefined, now: HeldLease): boolean {
  return before?.owner === now.owner && before.leaseUntil === now.leaseUntil;
}
