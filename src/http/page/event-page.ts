import type { Decision } from '../../core/decision.ts';
import { flattenEvent } from '../../core/event.ts';
import type { StoredEvent } from '../../core/event.ts';
import type { Json } from '../../core/json.ts';
import type { HttpDeps } from '../deps.ts';
import { parseQuery } from '../params.ts';
import type { AppContext } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { clip } from '../../lib/clip.ts';
import { html, tableHead } from './html.ts';
import type { Html } from './html.ts';
import { pageResponse } from './layout.ts';
import { exactly, executionPath, reasonWithValues } from './words.ts';

/** Characters of an event's data, and of anything else that a sender wrote. */
const DATA_CHARS = 16 * 1024;
const FIELD_CHARS = 1024;
const DECISIONS_SHOWN = 200;

/** `GET /events/<uid>`: the event as it came, and what each trigger answered. */
export async function eventPage(c: AppContext, deps: HttpDeps): Promise<Response> {
  parseQuery(c, {});
  const uid = c.req.param('uid') ?? '';
  const stored = await deps.store.getEvent(uid);
  if (stored === undefined) throw notFound('event', uid);
  const { items, nextCursor } = await deps.store.listDecisions({ event: uid }, { size: DECISIONS_SHOWN });
  const now = deps.clock.now();
  const body = html`<h1>Event ${clip(stored.event.id, FIELD_CHARS)}</h1>
    <section aria-label="Event">${envelope(stored, now)}</section>
    <section>
      <h2>What each trigger answered</h2>
      ${decisionTable(stored, items)}
      ${nextCursor !== null && html`<p class="more faint">Only ${DECISIONS_SHOWN} are shown: <code>tappet events get ${uid}</code> prints all.</p>`}
    </section>
    ${jsonSection('Data', stored.event.data, uid)}
    ${stored.claims !== null && jsonSection('Verified claims of the sender', stored.claims, uid)}`;
  return pageResponse({ title: `Event ${clip(stored.event.id, 80)}`, body });
}

function envelope(stored: StoredEvent, now: number): Html {
  const { data: _, specversion: __, ...attributes } = flattenEvent(stored.event);
  const repeats = stored.duplicates === 1 ? 'once more' : `${stored.duplicates} times more`;
  return html`<dl>
    ${Object.entries(attributes).map(
      ([name, value]) =>
        html`<dt>${clip(name, 80)}</dt>
          <dd>${clip(typeof value === 'string' ? value : JSON.stringify(value), FIELD_CHARS)}</dd>`,
    )}
    <dt>let in as</dt>
    <dd>${stored.origin}</dd>
    <dt>came</dt>
    <dd>${exactly(stored.receiveTime, now)}</dd>
    <dt>decided</dt>
    <dd>${exactly(stored.decideTime, now)}</dd>
    ${
      stored.duplicates > 0 &&
      html`<dt>sent again</dt>
        <dd>The same event came ${repeats}, and counts once.</dd>`
    }
  </dl>`;
}

function decisionTable({ decideTime }: StoredEvent, decisions: readonly Decision[]): Html {
  if (decisions.length === 0) {
    return html`<p>
      ${decideTime === null ? 'None has answered yet.' : 'No trigger listens for such an event, so it started nothing.'}
    </p>`;
  }
  return html`<table>
    ${tableHead('Trigger', 'Answer', 'Reason', 'Execution')}
    <tbody>
      ${decisions.map(decisionRow)}
    </tbody>
  </table>`;
}

function decisionRow(decision: Decision): Html {
  const { trigger, outcome, clause, reason, execution } = decision;
  // The reason often quotes the clause already.
  const quoted =
    clause === null || reason.includes(clause)
      ? ''
      : html`<span class="sub"><code>${clip(clause, FIELD_CHARS)}</code></span>`;
  return html`<tr>
    <td data-label="Trigger">${trigger}</td>
    <td data-label="Answer"><span class="mark ${outcome}">${outcome}</span></td>
    <td data-label="Reason">${reasonWithValues(decision)}${quoted}</td>
    <td data-label="Execution">
      ${execution === null ? html`<span class="faint">none</span>` : html`<a href="${executionPath(execution)}">${execution}</a>`}
    </td>
  </tr>`;
}

function jsonSection(title: string, value: Json | undefined, uid: string): Html {
  if (value === undefined) return html``;
  const text = JSON.stringify(value, null, 2);
  const rest = text.length - DATA_CHARS;
  return html`<section>
    <h2>${title}</h2>
    <pre tabindex="0" role="region" aria-label="${title}"><code>${text.slice(0, DATA_CHARS)}</code></pre>
    ${rest > 0 && html`<p class="faint small">${rest} characters more: <code>tappet events get ${uid} -o json</code> prints all.</p>`}
  </section>`;
}
