import type { Clock } from '../core/clock.ts';
import type { Expressions } from '../core/expression.ts';
import type { Log } from '../core/log.ts';
import type { LogSink } from '../core/log-sink.ts';
import type { Random } from '../core/random.ts';
import type { Runner } from '../core/runner.ts';
import type { ExecutorStore } from '../core/store.ts';
import type { Semaphore } from '../lib/semaphore.ts';
import type { EngineGate } from './engine-gate.ts';
import type { ExecutionImages } from './execution-images.ts';
import type { RunTimes } from './run-times.ts';
import type { Session } from './session.ts';
import type { StagingPorts } from './staging.ts';
import type { UsageMeter } from './usage-meter.ts';

/** What all attempts of one session share. */
export interface LifeContext extends StagingPorts {
  readonly store: ExecutorStore;
  readonly runner: Runner;
  readonly logs: LogSink;
  readonly clock: Clock;
  readonly random: Random;
  readonly expressions: Expressions;
  readonly log: Log;
  readonly session: Session;
  readonly gate: EngineGate;
  readonly images: ExecutionImages;
  readonly meter: UsageMeter;
  readonly times: RunTimes;
  /** Creating and starting many at once makes each slower and none faster. */
  readonly starts: Semaphore;
  /** Bytes on their way between object stores, files and containers. A start with inputs needs one of these instead. */
  readonly transfers: Semaphore;
}
