import type { Json, JsonObject } from '../../core/json.ts';
import { sizeText } from '../../lib/size.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { ago } from './words.ts';

/** The states of an engine's link that have a colour of their own. */
const STATES = new Set(['ready', 'none', 'connecting', 'waiting', 'draining']);

/** What the gateway says of itself, for a reader: the engine, what waits and why, and how much there is. */
export function statusSection(status: JsonObject, now: number): Html {
  const engine = objectOf(status['engine']);
  const sources = objectOf(status['sources']);
  const failed = listOf(sources['failed']).map(objectOf);
  const config = textOf(objectOf(status['config'])['message']);
  const unwritable = listOf(objectOf(status['health'])['problems']).map(objectOf);
  const alerts =
    unwritable.length + failed.length + listOf(engine['warnings']).length + (config === '' ? 0 : 1);
  const state = textOf(engine['state']);
  return html`<section aria-label="Status">
    <p class="any">
      <span class="mark ${STATES.has(state) ? state : ''}">engine ${state === '' ? 'unknown' : state}</span>
      ${textOf(engine['message'])}
    </p>
    ${listOf(engine['pulls']).map((pull) => html`<p class="small">${pullText(objectOf(pull), now)}</p>`)}
    <p class="small">${countsText(status, numberOf(sources['running']), failed.length)}</p>
    <ul class="alerts" ${alerts === 0 ? 'hidden' : ''}>
      ${unwritable.map(({ message, since }) => html`<li>${textOf(message)} <span class="faint">(${ago(numberOf(since), now)})</span></li>`)}
      ${config === '' ? '' : html`<li><strong>The configuration on disk is not applied:</strong> ${config}</li>`}
      ${failed.map((source) => failedSource(source, now))}
      ${listOf(engine['warnings']).map((warning) => html`<li class="warning">${textOf(warning)}</li>`)}
    </ul>
  </section>`;
}

/** `pulling team/report:2: 12 MiB of 80 MiB, 3 of 7 layers, since 20 s ago`; sizes are told as layers begin. */
function pullText(pull: JsonObject, now: number): Html {
  const [bytes, total] = [numberOf(pull['bytes']), numberOf(pull['totalBytes'])];
  const sizes = total === 0 ? '' : `: ${sizeText(bytes)} of ${sizeText(total)}`;
  const layers = numberOf(pull['layers']);
  const done = layers === 0 ? '' : `, ${numberOf(pull['layersDone'])} of ${count(layers, 'layer')}`;
  const since = html`<span class="faint">(begun ${ago(numberOf(pull['startTime']), now)})</span>`;
  return html`pulling <code>${textOf(pull['image'])}</code>${sizes}${done} ${since}`;
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
