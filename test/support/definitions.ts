import type { TriggerDefinition } from '../../src/core/config.ts';
import { triggerOrigin } from '../../src/core/event.ts';
import type { CloudEvent, StoredEvent } from '../../src/core/event.ts';
import { JOB_DEFAULTS } from '../../src/core/job.ts';
import type { JobSpec } from '../../src/core/job.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import type { RoutedJob } from '../../src/routing/decide-event.ts';

const expressions = createExpressions();
const DECISION_ROOTS = ['event', 'claims', 'trigger'] as const;
const RUN_ROOTS = ['event', 'claims', 'trigger', 'task'] as const;

/** A job as `config` compiles it. */
export function job(name = 'report', spec: Partial<JobSpec> = {}): RoutedJob {
  return {
    name,
    labels: { team: 'a' },
    annotations: {},
    spec: { image: 'busybox', env: {}, binds: [], ...JOB_DEFAULTS, ...spec },
    etag: 'e1',
    generation: 1,
  };
}

export interface TriggerText {
  name?: string;
  source?: TriggerDefinition['source'];
  origin?: string;
  when?: string;
  job?: string;
  env?: Record<string, string>;
  args?: string[];
  taskCount?: string;
  timeout?: string;
}

/** A trigger as `config` compiles it. */
export function trigger(text: TriggerText = {}): TriggerDefinition {
  const { name = 'call' } = text;
  const template = (t: string) => expressions.template(t, RUN_ROOTS);
  return {
    name,
    labels: { env: 'test' },
    annotations: {},
    source: text.source ?? { kind: 'webhook', auth: 'none' },
    origin: text.origin ?? triggerOrigin(name),
    when: text.when === undefined ? null : expressions.condition(text.when, DECISION_ROOTS),
    run: {
      job: text.job ?? 'report',
      env: Object.fromEntries(Object.entries(text.env ?? {}).map(([key, value]) => [key, template(value)])),
      args: text.args?.map(template) ?? null,
      taskCount: text.taskCount === undefined ? null : expressions.template(text.taskCount, DECISION_ROOTS),
      timeout: text.timeout === undefined ? null : expressions.template(text.timeout, DECISION_ROOTS),
    },
    etag: 'e1',
    definition: {},
  };
}

export function byName<T extends { readonly name: string }>(...items: T[]): ReadonlyMap<string, T> {
  return new Map(items.map((item) => [item.name, item]));
}

export function cloudEvent(over: Partial<CloudEvent> = {}): CloudEvent {
  return {
    specversion: '1.0',
    id: 'e-1',
    source: '/test',
    type: 'test.made',
    time: '2026-01-01T00:00:00Z',
    ...over,
  };
}

/** An event as the store has it, undecided. */
export function storedEvent(over: Partial<StoredEvent> & { data?: CloudEvent['data'] } = {}): StoredEvent {
  const { data, ...rest } = over;
  return {
    uid: 'event-1',
    origin: 'trigger/call',
    trigger: 'call',
    event: cloudEvent(data === undefined ? {} : { data }),
    claims: null,
    verdict: null,
    receiveTime: 0,
    decideTime: null,
    duplicates: 0,
    ...rest,
  };
}
