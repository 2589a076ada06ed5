import { createHash } from 'node:crypto';

/** Colours have a contrast of 4.5:1 and more on what they stand on, in both schemes; a browser test measures them. */
export const CSS = `
:root { color-scheme: light dark;
  --back: #f6f7f9; --card: #ffffff; --text: #1a2230; --faint: #566173; --line: #dde2ea; --link: #0b57c4;
  --good: #0b6b3a; --good-back: #dcf5e6; --bad: #a31621; --bad-back: #fde5e6; --busy: #084f9e; --busy-back: #dfedfd;
  --wait: #5c5213; --wait-back: #f6f0cd; --off: #4a5465; --off-back: #e8ebf0; --log: #f1f3f7; --err: #94231b; }
@media (prefers-color-scheme: dark) { :root {
  --back: #10141b; --card: #181e28; --text: #e6eaf1; --faint: #a2adbd; --line: #2c3543; --link: #86b7ff;
  --good: #7fe0a8; --good-back: #12392a; --bad: #ff9c9c; --bad-back: #48191d; --busy: #95c5ff; --busy-back: #15325a;
  --wait: #ead77b; --wait-back: #3c3514; --off: #b7c0cd; --off-back: #2a323f; --log: #0c1016; --err: #ffa59d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
header, main, footer { max-width: 78rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1.25rem; padding-top: 1rem; }
header .brand { font-weight: 700; font-size: 1.1rem; color: var(--text); text-decoration: none; }
header .side { margin-left: auto; font-size: .875rem; color: var(--faint); }
footer { padding-top: 1rem; padding-bottom: 2rem; font-size: .875rem; color: var(--faint); }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .75rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.125rem; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
p { margin: .25rem 0 .5rem; }
a { color: var(--link); }
a:focus-visible, pre:focus-visible, summary:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .875em; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .625rem;
  padding: 1rem 1.125rem; margin: 0 0 1rem; }
.faint { color: var(--faint); }
.small { font-size: .875rem; }
.any { overflow-wrap: anywhere; }
.mark { display: inline-block; padding: .05rem .5rem; border-radius: 1rem; font-size: .75rem; font-weight: 650;
  letter-spacing: .02em; white-space: nowrap; color: var(--off); background: var(--off-back); }
.succeeded, .matched, .ready { color: var(--good); background: var(--good-back); }
.failed, .none { color: var(--bad); background: var(--bad-back); }
.running, .starting { color: var(--busy); background: var(--busy-back); }
.pending, .connecting, .draining, .waiting, .late, .held, .limited { color: var(--wait); background: var(--wait-back); }
.alerts { list-style: none; margin: .5rem 0 0; padding: 0; }
.alerts li { border-left: 4px solid var(--bad); padding: .125rem .75rem; margin: .375rem 0; overflow-wrap: anywhere; }
.alerts .warning { border-color: var(--wait); }
table { width: 100%; border-collapse: collapse; font-size: .9375rem; }
th { text-align: left; font-size: .8125rem; font-weight: 600; color: var(--faint); padding: .25rem .75rem .25rem 0; }
td { vertical-align: top; padding: .5rem .75rem .5rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
td.tight { white-space: nowrap; }
td .sub { display: block; font-size: .8125rem; color: var(--faint); }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) minmax(0, 1fr); gap: .25rem 1rem; margin: 0; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--log); border: 1px solid var(--line); border-radius: .375rem; padding: .625rem .75rem; margin: .375rem 0;
  max-height: 30rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; }
/* Laid from below, so that a browser begins with the end of a log. */
pre.log { display: flex; flex-direction: column-reverse; }
.whole pre { max-height: none; }
.err { color: var(--err); }
.more { margin: .75rem 0 0; }
@media (max-width: 44rem) {
  header, main, footer { padding-left: .75rem; padding-right: .75rem; }
  header .side { margin-left: 0; }
  section { padding: .75rem; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: .5rem; }
  table, tbody, tr, td { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { border-top: 1px solid var(--line); padding: .5rem 0; }
  td, td.tight { border: 0; padding: .0625rem 0; white-space: normal; }
  td[data-label]::before { content: attr(data-label) ": "; color: var(--faint); font-size: .8125rem; }
}
`;

/** Names the one style sheet that a browser may apply. */
export const CSS_HASH = `sha256-${createHash('sha256').update(CSS).digest('base64')}`;
