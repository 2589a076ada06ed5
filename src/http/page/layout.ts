import { html, trusted } from './html.ts';
import type { Html } from './html.ts';
import { CSS, CSS_HASH } from './style.ts';

/** Nothing runs, nothing is loaded but the icon in the page itself, nobody frames it. */
const CSP = [
  "default-src 'none'",
  `style-src '${CSS_HASH}'`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': CSP,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/** A tappet: a cam and what it lifts. Without an icon browsers ask for /favicon.ico, which is nobody's. */
const ICON = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="11" r="4" fill="#0b57c4"/><rect x="6.5" y="1" width="3" height="6" fill="#0b57c4"/></svg>',
)}`;

export interface PageParts {
  readonly title: string;
  readonly body: Html;
  /** Where the page is read anew by itself: after so many seconds, from this path. */
  readonly refresh?: { readonly seconds: number; readonly path: string };
  /** On the right of the head. */
  readonly side?: Html;
}

export function pageResponse(
  { title, body, refresh, side }: PageParts,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        ${refresh && html`<meta http-equiv="refresh" content="${refresh.seconds};url=${refresh.path}" />`}
        <title>${title} · Tappet</title>
        <link rel="icon" href="${ICON}" />
        ${trusted(`<style>${CSS}</style>`)}
      </head>
      <body>
        <header>
          <a class="brand" href="/">Tappet</a>
          ${side && html`<span class="side">${side}</span>`}
        </header>
        <main>${body}</main>
      </body>
    </html>`;
  return new Response(page.toString(), { status, headers: { ...HEADERS, ...headers } });
}

/** A page that reads itself anew every `seconds` unless its reader says otherwise. Who holds still may read in peace. */
export function refreshing(
  path: string,
  seconds: number,
  refresh: 'off' | undefined,
): Pick<PageParts, 'refresh' | 'side'> {
  if (refresh === 'off') return { side: html`<a href="${path}">Keep this page up to date</a>` };
  return {
    refresh: { seconds, path },
    side: html`Up to date every ${seconds} s · <a href="${path}?refresh=off">Hold still</a>`,
  };
}
