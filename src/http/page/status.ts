import type { Json, JsonObject } from '../../core/json.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { ago } from './words.ts';

/** The states of an engine's link that have a colour of their own. */
const STATES = new Set(['ready', 'none', 'connecting', 'waiting']);

/** What the gateway says of itself, for a reader: the engine, what waits and why, and how much there is. */
export function statusSection(status: JsonObject, now: number): Html {
  const engine = objectOf(status['engine']);
  const sources = objectOf(status['sources']);
  const failed = listOf(sources['failed']).map(objectOf);
  const config = textOf(objectOf(status['config'])['message']);
  const alerts = failed.length + listOf(engine['warnings']).length + (config === '' ? 0 : 1);
  const state = textOf(engine['state']);
  return html`<section aria-label="Status">
    <p class="any">
      <span class="mark ${STATES.has(state) ? state : ''}">engine ${state === '' ? 'unknown' : state}</span>
      ${textOf(engine['message'])}
    </p>
    <p class="small">${countsText(status, numberOf(sources['running']), failed.length)}</p>
    <ul class="alerts" ${alerts === 0 ? 'hidden' : ''}>
      ${config === '' ? '' : html`<li><strong>The configuration on disk is not applied:</strong> ${config}</li>`}
      ${failed.map((source) => failedSource(source, now))}
      ${listOf(engine['warnings']).map((warning) => html`<li class="warning">${textOf(warning)}</li>`)}
    </ul>
  </section>`;
}

function countsText(status: JsonObject, running: number, failed: number): string {
  const waiting = failed === 0 ? '' : `, ${failed} cannot work now`;
  return [
    `${count(numberOf(status['runningExecutions']), 'execution')} running`,
    `${numberOf(status['pendingExecutions'])} waiting`,
    `${count(numberOf(status['undecidedEvents']), 'event')} to decide`,
    `${count(running, 'source')} at work${waiting}`,
  ].join(' · ');
}

function failedSource(source: JsonObject, now: number): Html {
  const since = source['since'];
  const when = typeof since === 'number' ? html` <span class="faint">(${ago(since, now)})</span>` : '';
  const name = textOf(source['name']);
  return html`<li>
    <strong>${textOf(source['kind'])} ${name}</strong> waits: ${textOf(source['message'])}${when}
  </li>`;
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
const numberOf = (value: Json | undefined): number => (typeof value === 'number' ? value : 0);
const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);
function objectOf(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}
