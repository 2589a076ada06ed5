import type { Decision } from '../../core/decision.ts';
import type { Execution } from '../../core/execution.ts';
import type { Json } from '../../core/json.ts';
import type { AttemptState, ExecutionState } from '../../core/states.ts';
import { clip } from '../../lib/clip.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';

/** Longest value of an expression that is shown beside a reason. */
const VALUE_CHARS = 120;
const MAX_VALUES = 8;

/** `2 min ago`, or `in 2 min`. */
export function relative(ms: number, now: number): string {
  const distance = about(wholeSeconds(Math.abs(now - ms)));
  return ms <= now ? `${distance} ago` : `in ${distance}`;
}

/** Tenths of a second that have passed since are of no use. */
const wholeSeconds = (ms: number): number => Math.max(1000, Math.round(ms / 1000) * 1000);

/** `350 ms`, `4.2 s`, `12 min`, `3 h`, `2 d`. */
export function about(ms: number): string {
  if (ms < 1000) return `${ms} ms`;
  const seconds = ms / 1000;
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** `2026-01-31 08:00:00 UTC`. */
export function utc(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** How long ago, with the exact time for who asks; a dash where there is none. */
export function ago(ms: number | null, now: number): Html {
  if (ms === null) return html`<span class="faint">not yet</span>`;
  return html`<time datetime="${new Date(ms).toISOString()}" title="${utc(ms)}">${relative(ms, now)}</time>`;
}

/** The exact time first, for pages about one thing. */
export function exactly(ms: number | null, now: number): Html {
  if (ms === null) return html`<span class="faint">not yet</span>`;
  const iso = new Date(ms).toISOString();
  return html`<time datetime="${iso}">${utc(ms)}</time> <span class="faint">${relative(ms, now)}</span>`;
}

export function took(
  { startTime, completionTime }: { startTime: number | null; completionTime: number | null },
  now: number,
): string {
  if (startTime === null) return '–';
  if (completionTime !== null) return about(Math.max(0, completionTime - startTime));
  return `${about(Math.max(0, now - startTime))} so far`;
}

/** The words of the states are ours, so they may be a class too. */
export function stateMark(state: ExecutionState | AttemptState): Html {
  return html`<span class="mark ${state.toLowerCase()}">${state}</span>`;
}

/** `3 of 4 done, 1 failed`. */
export function tasksText({ counters, toRun }: Execution): string {
  const { running, succeeded, failed, cancelled } = counters;
  const parts = [`${succeeded} of ${toRun} done`];
  if (failed > 0) parts.push(`${failed} failed`);
  if (running > 0) parts.push(`${running} running`);
  if (cancelled > 0) parts.push(`${cancelled} cancelled`);
  return parts.join(', ');
}

export const executionPath = (name: string): string => `/executions/${encodeURIComponent(name)}`;
export const eventPath = (uid: string): string => `/events/${encodeURIComponent(uid)}`;

/** What decided, and what it read: `event.data.size is 0`. */
export function reasonWithValues({ reason, values }: Decision): Html {
  const entries = Object.entries(values ?? {});
  if (entries.length === 0) return withCode(reason);
  const shown = entries
    .slice(0, MAX_VALUES)
    .map(([path, value]) => `${path} is ${clip(jsonText(value), VALUE_CHARS)}`);
  if (entries.length > MAX_VALUES) shown.push('…');
  return html`${withCode(reason)} <span class="faint">(${shown.join(', ')})</span>`;
}

/** Reasons quote expressions in backticks. */
function withCode(text: string): Html {
  const parts = text.split('`');
  // One without its pair is no quotation.
  if (parts.length % 2 === 0) return html`${text}`;
  return html`${parts.map((part, i) => (i % 2 === 0 ? part : html`<code>${part}</code>`))}`;
}

/** The trigger and its event with the decision's reason, or who asked for it. */
export function whyText({ cause, rerunOf }: Execution, decision: Decision | undefined): Html {
  const again = rerunOf !== null && html`re-run of <a href="${executionPath(rerunOf)}">${rerunOf}</a> · `;
  if (cause.kind === 'api') return html`${again}${cause.principal} asked for it`;
  const link = html`<a href="${eventPath(cause.event)}">its event</a>`;
  if (decision === undefined) return html`${again}trigger ${cause.trigger}, ${link}`;
  return html`${again}trigger ${cause.trigger}, ${link}<span class="sub"
      >${reasonWithValues(decision)}</span
    >`;
}

const jsonText = (value: Json): string => JSON.stringify(value);
