import type { Clock } from '../core/clock.ts';
import { errorText } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { LogSink } from '../core/log-sink.ts';
import type { NotificationStore } from '../core/notify.ts';
import type { Runner } from '../core/runner.ts';
import type { MaintenanceStore, QueryStore } from '../core/store.ts';
import { pause, Service } from '../lib/service.ts';
import { BodyRetention, type SweptBodies } from './body-retention.ts';
import { EventRetention } from './event-retention.ts';
import { ExecutionRetention } from './execution-retention.ts';
import { ImagePrune } from './image-prune.ts';
import { NotificationRetention } from './notification-retention.ts';
import { OrphanContainers } from './orphan-containers.ts';

const MINUTE = 60_000;
/** Not in the first moments: a start has better things to do. */
const FIRST_MS = MINUTE;

export interface MaintenanceOptions {
  readonly store: MaintenanceStore &
    Pick<QueryStore, 'listAttempts'> &
    Pick<NotificationStore, 'pruneNotifications'>;
  readonly logs: Pick<LogSink, 'remove'>;
  readonly bodies: SweptBodies;
  readonly clock: Clock;
  readonly log: Log;
  /** How long decided events are kept, in ms. */
  eventRetentionMs(): number;
  /** By job, how many ended executions are kept; a job that is not there keeps them by their age alone. */
  retentionCounts(): ReadonlyMap<string, number>;
  /** null = images are never removed. */
  imagePrune(): { readonly unusedForMs: number } | null;
  /** Images of jobs that never pull. */
  neverPulled(): readonly string[];
  /** The engine, while this process is in charge of it. */
  runner(): Runner | undefined;
}

interface Duty {
  readonly what: string;
  readonly everyMs: number;
  runOnce(signal: AbortSignal): Promise<number>;
}

/** What keeps the data folder and the engine tidy: each duty at its own distance, none at the same time twice. */
export class Maintenance extends Service {
  readonly #duties: readonly Duty[];
  readonly #clock: Clock;
  readonly #log: Log;

  constructor(options: MaintenanceOptions) {
    super();
    const { store, logs, clock, log } = options;
    this.#clock = clock;
    this.#log = log;
    const retentionCounts = () => options.retentionCounts();
    const executions = new ExecutionRetention({ store, logs, log, retentionCounts });
    const events = new EventRetention({ store, retentionMs: () => options.eventRetentionMs() });
    const bodies = new BodyRetention({ store, bodies: options.bodies });
    const notifications = new NotificationRetention({ store });
    const orphans = new OrphanContainers({ store, clock, log, runner: () => options.runner() });
    const settings = () => options.imagePrune();
    const images = new ImagePrune({
      store,
      log,
      settings,
      neverPulled: () => options.neverPulled(),
      runner: () => options.runner(),
    });
    this.#duties = [
      {
        what: 'remove old executions',
        everyMs: 10 * MINUTE,
        runOnce: (signal) => executions.runOnce(signal),
      },
      { what: 'remove old events', everyMs: 10 * MINUTE, runOnce: (signal) => events.runOnce(signal) },
      {
        what: 'remove bodies of calls without an event',
        everyMs: 5 * MINUTE,
        runOnce: (signal) => bodies.runOnce(signal),
      },
      {
        what: 'remove old notifications',
        everyMs: 60 * MINUTE,
        runOnce: (signal) => notifications.runOnce(signal),
      },
      {
        what: 'remove orphaned containers',
        everyMs: 5 * MINUTE,
        runOnce: (signal) => orphans.runOnce(signal),
      },
      {
        what: 'remove unused images',
        everyMs: 60 * MINUTE,
        runOnce: (signal) => images.runOnce(signal),
      },
    ];
  }

  protected async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#duties.map((duty) => this.#repeat(duty, signal)));
  }

  async #repeat(duty: Duty, signal: AbortSignal): Promise<void> {
    await pause(this.#clock, FIRST_MS, signal);
    while (!signal.aborted) {
      try {
        const count = await duty.runOnce(signal);
        if (count > 0) this.#log.info(`Maintenance: ${duty.what}: ${count} done.`);
      } catch (error) {
        this.#log.warn(`Maintenance could not ${duty.what}; it tries again later: ${errorText(error)}`);
      }
      await pause(this.#clock, duty.everyMs, signal);
    }
  }
}
