import { generateCookie, getCookie } from 'hono/cookie';
import type { Principal } from '../../core/auth.ts';
import type { HttpDeps } from '../deps.ts';
import type { AppContext } from '../permissions.ts';
import { SESSION_MS } from '../session.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { pageResponse } from './layout.ts';

/** What a browser says of a request that another site began. */
const FROM_ELSEWHERE = new Set(['cross-site', 'same-site']);

/** Whose session the request's cookie names; undefined where it names none. */
export function pagePrincipal(
  c: AppContext,
  { sessions }: Pick<HttpDeps, 'sessions'>,
): Principal | undefined {
  const { name, prefix } = cookieOf(c);
  const session = prefix === undefined ? getCookie(c, name) : getCookie(c, name, prefix);
  return session === undefined ? undefined : sessions.principal(session);
}

/**
 * Uses up the code of a link: a cookie, and on to the same page without the code. undefined where the request has none.
 * A HEAD request (a chat that shows what a link leads to) uses nothing up.
 */
export function enter(c: AppContext, deps: HttpDeps): Response | undefined {
  const code = c.req.query('code');
  if (code === undefined || c.req.method === 'HEAD') return undefined;
  const session = deps.sessions.begin(code);
  if (session !== undefined) {
    deps.log.info('the page was opened by a link', { remoteAddress: c.env.remoteAddress });
    return onward(c, { 'set-cookie': sessionCookie(c, session) });
  }
  // Opened twice, or again from the browser's history: who is in already need not hear of it.
  if (pagePrincipal(c, deps) !== undefined) return onward(c, {});
  return signInPage('This link was used before, or is older than ten minutes.');
}

/**
 * To `/`. A browser keeps a strict cookie back on a redirect that another site's link began (a terminal in a web page,
 * say); a page of ours that goes on by itself does not count as another site.
 */
function onward(c: AppContext, headers: Readonly<Record<string, string>>): Response {
  if (!FROM_ELSEWHERE.has(c.req.header('sec-fetch-site') ?? '')) {
    return new Response(null, {
      status: 303,
      headers: { location: '/', 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', ...headers },
    });
  }
  const body = html`<h1>Opening</h1>
    <p><a href="/">Go on to the page</a></p>`;
  return pageResponse({ title: 'Opening', body, refresh: { seconds: 0, path: '/' } }, 200, headers);
}

/** 401: how to get in. The same for every path, so that nobody learns what there is. */
export function signInPage(why = 'This page is for those who have a link to it.'): Response {
  const body = html`<h1>A link is needed</h1>
    <section>
      <p>${why}</p>
      <p>This prints a new one, which works once and within ten minutes:</p>
      <pre tabindex="0" role="region" aria-label="Command"><code>tappet link</code></pre>
      <p>
        Run it on the machine of the gateway as the user who runs it, or anywhere with <code>--url</code> and
        a token. <code>tappet serve</code> prints a link too when it starts.
      </p>
      <p>You opened one in this browser already? Then <a href="/">go to the page</a>.</p>
    </section>`;
  return pageResponse({ title: 'A link is needed', body }, 401, { 'www-authenticate': 'Bearer' });
}

/** What an API caller gets as a problem document, for eyes. */
export async function problemPage(problem: Response): Promise<Response> {
  const { title, detail, fix } = (await problem.json()) as { title: string; detail: string; fix?: string };
  const body: Html = html`<h1>${title}</h1>
    <section>
      <p class="any">${detail}</p>
      ${fix !== undefined && html`<p>${fix}</p>`}
      <p><a href="/">Back to the overview</a></p>
    </section>`;
  const retryAfter = problem.headers.get('retry-after');
  return pageResponse(
    { title, body },
    problem.status,
    retryAfter === null ? {} : { 'retry-after': retryAfter },
  );
}

function sessionCookie(c: AppContext, session: string): string {
  const { name, prefix, secure } = cookieOf(c);
  return generateCookie(name, session, {
    path: '/',
    httpOnly: true,
    sameSite: 'Strict',
    secure,
    maxAge: SESSION_MS / 1000,
    ...(prefix === undefined ? {} : { prefix }),
  });
}

interface CookieKind {
  readonly name: string;
  /** A browser takes the prefix only on a secure cookie. */
  readonly prefix?: 'host';
  readonly secure: boolean;
}

/**
 * The port stands in the name, because cookies do not keep ports apart: two gateways on one machine would throw each
 * other's readers out. Behind a proxy that ends TLS, its header says that the browser speaks https; whoever forges it
 * changes only their own cookie.
 */
function cookieOf(c: AppContext): CookieKind {
  const { protocol, port } = new URL(c.req.url);
  const name = port === '' ? 'tappet' : `tappet-${port}`;
  const forwarded = c.req.header('x-forwarded-proto')?.split(',', 1)[0]?.trim().toLowerCase();
  if (protocol === 'https:' || forwarded === 'https') return { name, prefix: 'host', secure: true };
  return { name, secure: false };
}
