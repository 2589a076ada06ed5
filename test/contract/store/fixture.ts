import { afterEach, beforeEach, expect } from 'vitest';
import { isTappetError } from '../../../src/core/errors.ts';
import type { ErrorCode } from '../../../src/core/errors.ts';
import type { CloudEvent } from '../../../src/core/event.ts';
import type { AttemptKey, AttemptResult, NewExecution } from '../../../src/core/execution.ts';
import type { Ids } from '../../../src/core/ids.ts';
import { JOB_DEFAULTS } from '../../../src/core/job.ts';
import type { JobSpec } from '../../../src/core/job.ts';
import type {
  AcceptEvent,
  Claim,
  ClaimParams,
  ClaimResult,
  FinishResult,
  Store,
} from '../../../src/core/store.ts';
import type { ManualClock } from '../../support/manual-clock.ts';

/** An open, empty store. `another` opens a second one on the same data; `reopen` is what a restart does. */
export interface StoreFixture {
  readonly store: Store;
  readonly clock: ManualClock;
  readonly ids: Ids;
  another(): Promise<Store>;
  /** Closes `store` and opens the same data again. */
  reopen(): Promise<Store>;
  dispose(): Promise<void>;
}
export type MakeStore = () => Promise<StoreFixture>;

export const ENGINE = 'docker';
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

/** One fixture per test, and short ways to say what most tests need. */
export class Bench {
  #fixture: StoreFixture | null = null;
  #epoch = 0;

  constructor(makeStore: MakeStore) {
    beforeEach(async () => {
      this.#fixture = await makeStore();
      this.#epoch = 0;
    });
    afterEach(async () => {
      await this.#fixture?.dispose();
    });
  }

  get fixture(): StoreFixture {
    if (this.#fixture === null) throw new TypeError('no fixture outside of a test');
    return this.#fixture;
  }
  get store(): Store {
    return this.fixture.store;
  }
  get clock(): ManualClock {
    return this.fixture.clock;
  }

  event(id: string, changes: Partial<AcceptEvent> & { cloud?: Partial<CloudEvent> } = {}): AcceptEvent {
    const { cloud, ...rest } = changes;
    const event: CloudEvent = {
      specversion: '1.0',
      id,
      source: '/test',
      type: 'test.happened',
      time: '2026-01-01T00:00:00Z',
      ...cloud,
    };
    return {
      uid: this.fixture.ids.uid(),
      trigger: null,
      event,
      claims: null,
      verdict: null,
      rememberMs: DAY,
      ...rest,
    };
  }

  /** Stores one event and returns its uid. */
  async accepted(id: string, origin = 'trigger/a', changes: Partial<AcceptEvent> = {}): Promise<string> {
    const event = this.event(id, changes);
    await this.store.acceptEvents({ origin, events: [event], state: [] });
    return event.uid;
  }

  execution(spec: Partial<JobSpec> = {}, changes: Partial<NewExecution> = {}): NewExecution {
    const job = changes.job ?? 'work';
    return {
      uid: this.fixture.ids.uid(),
      name: `${job}-${this.fixture.ids.suffix(10)}`,
      job,
      jobGeneration: 1,
      spec: { ...JOB_DEFAULTS, image: 'busybox', env: {}, binds: [], ...spec },
      context: {},
      cause: { kind: 'api', principal: 'admin' },
      labels: {},
      ...changes,
    };
  }

  async created(spec: Partial<JobSpec> = {}, changes: Partial<NewExecution> = {}): Promise<string> {
    return (await this.store.createExecution(this.execution(spec, changes))).name;
  }

  async epoch(): Promise<number> {
    if (this.#epoch > 0) return this.#epoch;
    const lease = await this.store.acquireEngine(ENGINE, 'me', DAY * 365);
    if (!lease.held) throw new TypeError('the engine of an empty store is taken');
    this.#epoch = lease.epoch;
    return this.#epoch;
  }

  async claim(limit = 100, maxParallelism = 100): Promise<readonly Claim[]> {
    return (await this.claimed({ limit, maxParallelism })).claims;
  }

  async claimed(params: Partial<ClaimParams> = {}): Promise<ClaimResult> {
    const epoch = await this.epoch();
    return this.store.claimAttempts({ engine: ENGINE, epoch, limit: 100, maxParallelism: 100, ...params });
  }

  /** Claims one attempt and reports that its process runs. */
  async running(): Promise<Claim> {
    const [claim] = await this.claim(1);
    if (claim === undefined) throw new TypeError('nothing to claim');
    await this.start(claim.attempt);
    return claim;
  }

  async start(key: AttemptKey): Promise<void> {
    const startTime = this.clock.now();
    const epoch = await this.epoch();
    await this.store.attemptStarted({ key: keyOf(key), epoch, startTime, imageDigest: 'sha256:0' });
  }

  async finish(key: AttemptKey, outcome: AttemptResult): Promise<FinishResult> {
    const epoch = await this.epoch();
    return this.store.finishAttempt({ key: keyOf(key), epoch, result: outcome, logBytes: null });
  }

  /** One attempt from claim to end. */
  async attempt(outcome: AttemptResult): Promise<FinishResult> {
    return this.finish((await this.running()).attempt, outcome);
  }

  exit(exitCode: number): AttemptResult {
    return {
      state: exitCode === 0 ? 'SUCCEEDED' : 'FAILED',
      reason: exitCode === 0 ? 'EXITED_ZERO' : 'NON_ZERO_EXIT_CODE',
      message: `exit code ${exitCode}`,
      exitCode,
      signal: null,
      endTime: this.clock.now(),
    };
  }

  broken(reason: AttemptResult['reason'], message: string): AttemptResult {
    return { state: 'FAILED', reason, message, exitCode: null, signal: null, endTime: this.clock.now() };
  }
}

export const keyOf = ({ execution, index, attempt }: AttemptKey): AttemptKey => ({
  execution,
  index,
  attempt,
});

export async function expectCode(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(isTappetError(error) ? error.code : error).toBe(code);
}
