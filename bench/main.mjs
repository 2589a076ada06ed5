// npm run bench [-- name…]: prints one line a figure,
//   bench <name> ours=<v> floor=<v> ratio=<v> goal=<v> ok|short
// and ends with 1 where a figure is short of its goal. A floor is a program without product code and with the
// same durability, measured in turn with ours in the same run: the machine's mood divides out.
import { readFileSync } from 'node:fs';
import { benchBacklog } from './backlog.mjs';
import { benchContainers } from './containers.mjs';
import { benchCron } from './cron-rss.mjs';
import { benchIdle } from './idle.mjs';
import { benchLogCapture } from './log-capture.mjs';
import { benchOrchestration } from './orchestration.mjs';
import { benchPrune } from './prune.mjs';
import { benchStaging } from './staging.mjs';
import { benchStart } from './start.mjs';
import { benchUploads } from './uploads.mjs';
import { benchWebhook } from './webhook.mjs';
import { benchWebhookLate, benchWebhookOpen } from './webhook-late.mjs';

const goals = JSON.parse(readFileSync(new URL('./goals.json', import.meta.url), 'utf8'));
const BENCHES = {
  'webhook-hmac': () => benchWebhook('hmac'),
  'webhook-oidc': () => benchWebhook('oidc'),
  'webhook-hmac-p99': benchWebhookLate,
  'webhook-open': benchWebhookOpen,
  start: benchStart,
  'cron-10000': benchCron,
  'staging-256m': benchStaging,
  'uploads-1000': benchUploads,
  orchestration: benchOrchestration,
  containers: benchContainers,
  'log-capture': benchLogCapture,
  'backlog-100k': benchBacklog,
  'prune-100k': benchPrune,
  idle: benchIdle,
};

export async function main(names) {
  const unknown = names.filter((name) => !(name in BENCHES));
  if (unknown.length > 0)
    throw new Error(`no such benchmark: ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`);
  let short = 0;
  for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
    for (const figure of await BENCHES[name]()) if (!report(figure)) short += 1;
  }
  return short === 0 ? 0 : 1;
}

/** One figure: {name, ours, floor?, note?}. Returns whether it reaches its goal. */
export function report({ name, ours, floor, note }) {
  const goal = goals[name];
  if (goal === undefined) throw new Error(`bench/goals.json has no goal for ${name}`);
  const ratio = floor === undefined ? undefined : ours / floor;
  const { min, max } = goal.ratio ?? goal.value;
  const value = goal.ratio === undefined ? ours : ratio;
  const ok = (min === undefined || value >= min) && (max === undefined || value <= max);
  const goalText = min === undefined ? `<=${max}` : `>=${min}`;
  const shown = [
    show(ours),
    floor === undefined ? '-' : show(floor),
    ratio === undefined ? '-' : ratio.toFixed(3),
  ];
  console.log(
    `bench ${name} ours=${shown[0]} floor=${shown[1]} ratio=${shown[2]} goal=${goalText} ${ok ? 'ok' : 'short'}${note ? `  # ${note}` : ''}`,
  );
  return ok;
}

function show(value) {
  return value >= 100 ? String(Math.round(value)) : value.toFixed(2);
}
