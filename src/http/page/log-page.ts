import { z } from 'zod';
import type { AttemptKey } from '../../core/execution.ts';
import type { HttpDeps } from '../deps.ts';
import { parseQuery, wholeNumber } from '../params.ts';
import type { AppContext } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { findTask } from '../routes/tasks.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { pageResponse } from './layout.ts';
import { readFrom, readTail } from './log-tail.ts';
import type { LogExcerpt } from './log-tail.ts';
import { executionPath, stateMark } from './words.ts';

const PAGE_BYTES = 64 * 1024;
const QUERY = {
  after: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional(),
  from: z.literal('start').optional(),
};

/** `GET /executions/<name>/tasks/<index>/attempts/<attempt>/log`: its end, or piece by piece from the start. */
export async function logPage(c: AppContext, deps: HttpDeps): Promise<Response> {
  const { after, from } = parseQuery(c, QUERY);
  const task = await findTask(c, deps.store);
  const attempts = await deps.store.listAttempts(task.execution, task.index);
  const number = c.req.param('attempt') ?? '';
  const attempt = attempts.find((one) => String(one.attempt) === number);
  if (attempt === undefined)
    throw notFound(`attempt of task ${task.index} of "${task.execution}" with number`, number);
  const path = logPath(attempt);
  const pieces = from === 'start' || after !== undefined;
  const excerpt = pieces
    ? await readFrom(deps.logs, attempt, { after, bytes: PAGE_BYTES })
    : await readTail(deps.logs, attempt, { bytes: PAGE_BYTES });
  const title = `Log of ${task.execution}, task ${task.index}, attempt ${number}`;
  const body = html`<h1>Log of task ${task.index}, attempt ${attempt.attempt}</h1>
    <p>of <a href="${executionPath(task.execution)}">${task.execution}</a> ${stateMark(attempt.state)}</p>
    <section class="whole" aria-label="Log">
      ${logText(excerpt, attempt)}
      <p class="more">${links(path, excerpt, pieces)}</p>
    </section>`;
  return pageResponse({ title, body });
}

function links(path: string, { next }: LogExcerpt, pieces: boolean): Html {
  const start = html`<a href="${path}?from=start">From the start</a>`;
  if (!pieces) return start;
  const end = html`<a href="${path}">The end</a>`;
  return next === null
    ? html`${start} · ${end}`
    : html`${start} · <a href="${path}?after=${next}">Go on</a> · ${end}`;
}

export function logPath({ execution, index, attempt }: AttemptKey): string {
  return `${executionPath(execution)}/tasks/${index}/attempts/${attempt}/log`;
}

/** An excerpt as text, standard error in a colour of its own; and in words what is not there. */
export function logText(excerpt: LogExcerpt, { index, attempt }: AttemptKey): Html {
  const parts = excerpt.parts.filter(({ text }) => text !== '');
  if (parts.length === 0)
    return html`<p class="faint">It ${excerpt.cut ? 'ends here' : 'wrote nothing'}.</p>`;
  // A line feed right after <pre> would be swallowed; the spans stand between.
  const lines = parts.map(({ stream, text }) =>
    stream === 'stderr' ? html`<span class="err">${text}</span>` : html`<span>${text}</span>`,
  );
  return html`${excerpt.cut && html`<p class="faint small">What came before is left out.</p>`}
    <pre
      class="log"
      tabindex="0"
      role="region"
      aria-label="Output of task ${index}, attempt ${attempt}"
    ><span>${lines}</span></pre>`;
}
