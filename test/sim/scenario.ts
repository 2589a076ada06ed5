import type { TriggerDefinition } from '../../src/core/config.ts';
import type { CloudEvent } from '../../src/core/event.ts';
import type { RoutedJob } from '../../src/routing/decide-event.ts';
import { byName, job, trigger } from '../support/definitions.ts';

/** The configuration under simulation. */
export const JOBS: ReadonlyMap<string, RoutedJob> = byName(job('report'), job('import', { taskCount: 2 }));

export interface Schedule {
  readonly name: string;
  readonly cron: string;
  readonly zone: string;
  /** Slots are the multiples of this since the epoch: an oracle that knows no cron. */
  readonly periodMs: number;
}
export const SCHEDULES: readonly Schedule[] = [
  { name: 'seconds', cron: '0 * * * * *', zone: 'UTC', periodMs: 60_000 },
  { name: 'minutes', cron: '*/5 * * * *', zone: 'America/New_York', periodMs: 5 * 60_000 },
  { name: 'quarters', cron: '*/15 * * * *', zone: 'Europe/Berlin', periodMs: 15 * 60_000 },
  // The only one whose last slot can be older than an hour, and so too late.
  { name: 'hours', cron: '0 */2 * * *', zone: 'UTC', periodMs: 2 * 60 * 60_000 },
];

/** `hook` has its own origin and names its trigger; `left` and `right` both listen to one connection. */
export const ENDPOINTS = [
  { name: 'hook', origin: 'trigger/hook', trigger: 'hook' },
  { name: 'store', origin: 'connection/store', trigger: null },
] as const;
export type Endpoint = (typeof ENDPOINTS)[number];

export const TRIGGERS: ReadonlyMap<string, TriggerDefinition> = byName(
  ...SCHEDULES.map(({ name, cron, zone }) => trigger({ name, source: { kind: 'cron', cron, zone } })),
  trigger({ name: 'hook', when: 'event.data.n % 3 != 0', env: { N: '${{ event.data.n }}' } }),
  trigger({
    name: 'left',
    origin: 'connection/store',
    job: 'import',
    args: ['${{ event.data.n + task.index }}'],
  }),
  // Cannot be evaluated for every fifth.
  trigger({ name: 'right', origin: 'connection/store', when: 'event.data.n % 5 != 0 || event.data.missing' }),
);

/** What each trigger has to answer to message `n` at an endpoint: the model, in plain code. */
export function expectedOutcomes(endpoint: Endpoint, n: number): Readonly<Record<string, string>> {
  if (endpoint.name === 'hook') return { hook: n % 3 === 0 ? 'filtered' : 'matched' };
  return { left: 'matched', right: n % 5 === 0 ? 'failed' : 'matched' };
}

export function messageEvent(n: number): CloudEvent {
  return {
    specversion: '1.0',
    id: `message-${n}`,
    source: '/sender',
    type: 'sim.message',
    time: '2026-01-01T00:00:00Z',
    data: { n },
  };
}
