import { z } from 'zod';
import type { Decision } from '../../core/decision.ts';
import type { Execution } from '../../core/execution.ts';
import { waitText } from '../../executor/waiting.ts';
import { pageFields, parseQuery, readPage } from '../params.ts';
import type { AppContext } from '../permissions.ts';
import type { HttpDeps } from '../deps.ts';
import { clip } from '../../lib/clip.ts';
import { html, tableHead } from './html.ts';
import type { Html } from './html.ts';
import { pageResponse, refreshing } from './layout.ts';
import { decisionBehind, EVENTS_LOOKED_AT, quietEvents, schedules, skippedBefore } from './read.ts';
import type { QuietEvent, Schedule, Schedules } from './read.ts';
import { statusSection } from './status.ts';
import {
  about,
  ago,
  eventPath,
  executionPath,
  reasonWithValues,
  stateMark,
  tasksText,
  took,
  utc,
  whyText,
} from './words.ts';

const EXECUTIONS_SHOWN = 25;
const DECISIONS_SHOWN = 3;
const REFRESH_SECONDS = 10;
const TEXT_CHARS = 160;

const QUERY = { pageToken: pageFields.pageToken, refresh: z.literal('off').optional() };

/** `GET /`: what ran and why, what comes next, and what started nothing and why. */
export async function overviewPage(c: AppContext, deps: HttpDeps): Promise<Response> {
  const { pageToken, refresh } = parseQuery(c, QUERY);
  const now = deps.clock.now();
  const executions = await readPage({ pageSize: EXECUTIONS_SHOWN, pageToken }, (page) =>
    deps.store.listExecutions({}, page),
  );
  const view = deps.admission();
  const rows = await Promise.all(
    executions.items.map(async (execution) =>
      executionRow(execution, await decisionBehind(deps.store, execution), waitText(execution, view), now),
    ),
  );
  const list = executionsSection(rows, executions.nextPageToken, pageToken !== undefined);
  if (pageToken !== undefined)
    return pageResponse({
      title: 'Earlier executions',
      body: html`<h1>Earlier executions</h1>
        ${list}`,
    });
  const body = html`<h1>What ran, and why</h1>
    ${statusSection(await deps.status(), now)} ${list} ${schedulesSection(schedules(deps, now), now)}
    ${quietSection(await quietEvents(deps.store), now)} ${skippedSection(deps, now)}`;
  return pageResponse({ title: 'Overview', body, ...refreshing('/', REFRESH_SECONDS, refresh) });
}

function executionsSection(rows: readonly Html[], nextPageToken: string, earlier: boolean): Html {
  if (rows.length === 0) {
    return html`<section>
      <h2>Executions</h2>
      <p>
        Nothing has run yet. An execution starts when an event matches a trigger, or by
        <code>tappet jobs run NAME</code>.
      </p>
    </section>`;
  }
  return html`<section>
    <h2>${earlier ? 'Executions' : 'Newest executions'}</h2>
    <table>
      ${tableHead('Execution', 'State', 'Why it ran', 'Started', 'Took', 'Tasks')}
      <tbody>
        ${rows}
      </tbody>
    </table>
    ${nextPageToken !== '' && html`<p class="more"><a href="/?pageToken=${encodeURIComponent(nextPageToken)}">Earlier executions</a></p>`}
  </section>`;
}

function executionRow(
  execution: Execution,
  decision: Decision | undefined,
  waits: string | null,
  now: number,
): Html {
  const { name, job, state, message, startTime } = execution;
  return html`<tr>
    <td data-label="Execution">
      <a href="${executionPath(name)}">${name}</a><span class="sub">job ${job}</span>
    </td>
    <td data-label="State">
      ${stateMark(state)}${message !== null && html`<span class="sub">${clip(message, TEXT_CHARS)}</span>`}${waits !== null && html`<span class="sub">${clip(waits, TEXT_CHARS)}</span>`}
    </td>
    <td data-label="Why it ran">${whyText(execution, decision)}</td>
    <td data-label="Started" class="tight">${ago(startTime, now)}</td>
    <td data-label="Took" class="tight">${took(execution, now)}</td>
    <td data-label="Tasks">${tasksText(execution)}</td>
  </tr>`;
}

function schedulesSection({ shown, count }: Schedules, now: number): Html {
  if (count === 0)
    return html`<section>
      <h2>Schedules</h2>
      <p>No trigger has a schedule.</p>
    </section>`;
  const rest = count - shown.length;
  return html`<section>
    <h2>Schedules</h2>
    <table>
      ${tableHead('Trigger', 'Runs', 'Next', 'Schedule')}
      <tbody>
        ${shown.map((schedule) => scheduleRow(schedule, now))}
      </tbody>
    </table>
    ${rest > 0 && html`<p class="more faint">And ${rest} more: <code>tappet triggers next NAME</code> tells the times of each.</p>`}
  </section>`;
}

function scheduleRow({ trigger, job, cron, zone, next }: Schedule, now: number): Html {
  const time =
    next === undefined
      ? 'never again'
      : html`in ${about(Math.max(0, next - now))}<span class="sub">${utc(next)}</span>`;
  return html`<tr>
    <td data-label="Trigger">${trigger}</td>
    <td data-label="Runs">${job}</td>
    <td data-label="Next">${time}</td>
    <td data-label="Schedule"><code>${cron}</code><span class="sub">${zone}</span></td>
  </tr>`;
}

function quietSection(events: readonly QuietEvent[], now: number): Html {
  const intro = `Looked for among the ${EVENTS_LOOKED_AT} newest events.`;
  if (events.length === 0) {
    return html`<section>
      <h2>Events that started nothing</h2>
      <p class="faint">None. ${intro}</p>
    </section>`;
  }
  return html`<section>
    <h2>Events that started nothing</h2>
    <p class="faint small">${intro}</p>
    <table>
      ${tableHead('Event', 'From', 'Came', 'Why nothing started')}
      <tbody>
        ${events.map((event) => quietRow(event, now))}
      </tbody>
    </table>
  </section>`;
}

function quietRow({ stored, decisions }: QuietEvent, now: number): Html {
  const { type, subject, id } = stored.event;
  return html`<tr>
    <td data-label="Event">
      <a href="${eventPath(stored.uid)}">${clip(subject ?? id, TEXT_CHARS)}</a
      ><span class="sub">${clip(type, TEXT_CHARS)}</span>
    </td>
    <td data-label="From">${stored.origin}</td>
    <td data-label="Came" class="tight">${ago(stored.receiveTime, now)}</td>
    <td data-label="Why nothing started">${quietReasons(decisions)}</td>
  </tr>`;
}

function quietReasons(decisions: readonly Decision[]): Html {
  if (decisions.length === 0) return html`No trigger listens for such an event.`;
  const shown = decisions
    .slice(0, DECISIONS_SHOWN)
    .map(
      (decision) =>
        html`<div>
          <span class="mark ${decision.outcome}">${decision.outcome}</span> ${decision.trigger}:
          ${reasonWithValues(decision)}
        </div>`,
    );
  const rest = decisions.length - shown.length;
  return html`${shown}${rest > 0 && html`<div class="faint">and ${rest} more</div>`}`;
}

/** What is no event at all, and so stands in no other list. */
function skippedSection(deps: HttpDeps, now: number): Html | false {
  const { shown, count } = skippedBefore(deps);
  if (count === 0) return false;
  const rest = count - shown.length;
  return html`<section>
    <h2>There before their trigger</h2>
    <p class="faint small">
      Objects and files that were there before a trigger first started start nothing, unless its source says
      <code>existing: run</code>.
    </p>
    <table>
      ${tableHead('Trigger', 'Skipped', 'First start')}
      <tbody>
        ${shown.map(
          ({ trigger, status: { firstStart, existing } }) =>
            html`<tr>
              <td data-label="Trigger">${trigger}</td>
              <td data-label="Skipped">${existing.skipped}${!existing.complete && ' so far'}</td>
              <td data-label="First start">${ago(firstStart, now)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
    ${rest > 0 && html`<p class="more faint">And ${rest} more: <code>tappet triggers get NAME</code> tells of each.</p>`}
  </section>`;
}
