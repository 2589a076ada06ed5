import { Cron } from 'croner';
import { nearest } from '../../src/lib/nearest.ts';
import { isZone, offsetAt, steadyOffset } from './zone-offset.ts';

/** A compiled schedule takes some 80 KB: ten thousand of them would be 800 MB. */
const KEPT = 64;
const MINUTE = 60_000;
/** The least recently used first. */
const compiled = new Map<string, Cron>();

/**
 * The first slot after `after` (epoch ms), or null where none comes. A fixed time, with one second, minute and hour
 * written as numbers, comes once a day whatever the clocks do: from the hour that they leave out it moves to the end of
 * the gap, in the hour that comes twice it is the first. All others (lists, ranges, steps, `*`) go by the clock on
 * the wall: they have no slots in the hour left out, and each slot twice in the hour that comes twice.
 * Errors: whatever croner throws for a bad cron or zone (`parseSchedule` tells them beforehand).
 */
export function nextTime(cron: string, zone: string, after: number): number | null {
  // With a zone croner makes a formatter for each step of its search. Far from any change of the clocks the zone is
  // just an offset: the wall is read as if it were UTC, which also lets all zones share one compiled schedule.
  const offset = offsetAt(zone, after);
  if (Number.isInteger(offset)) {
    const wall = nextRun(cron, 'UTC', after + offset * MINUTE);
    if (wall === null) return null;
    const next = wall - offset * MINUTE;
    if (steadyOffset(zone, after, next) === offset) return next;
  }
  return nextRun(cron, zone, after);
}

function nextRun(cron: string, zone: string, after: number): number | null {
  return schedule(cron, zone).nextRun(new Date(after))?.getTime() ?? null;
}

function schedule(cron: string, zone: string): Cron {
  const key = `${zone} ${cron}`;
  const by = zone === 'UTC' ? { utcOffset: 0 } : { timezone: zone };
  const made = compiled.get(key) ?? new Cron(cron, { ...by, paused: true });
  compiled.delete(key);
  compiled.set(key, made);
  const [oldest] = compiled.keys();
  if (compiled.size > KEPT && oldest !== undefined) compiled.delete(oldest);
  return made;
}

export type ParsedSchedule =
  { readonly ok: true } | { readonly ok: false; readonly field: 'cron' | 'zone'; readonly message: string };

/** Any moment does for "does it ever fire": there is no year in five or six fields, so slots repeat. */
const SOME_TIME = Date.UTC(2026, 0, 1);

/** Whether this is a schedule that fires at all; `message` says what is wrong and what to write. */
export function parseSchedule(cron: string, zone: string): ParsedSchedule {
  if (!isZone(zone)) return { ok: false, field: 'zone', message: zoneMessage(zone) };
  const problem = findProblem(cron);
  if (problem !== undefined) return { ok: false, field: 'cron', message: `"${cron}": ${problem}` };
  try {
    // Whether it ever fires does not depend on the zone.
    if (nextRun(cron, 'UTC', SOME_TIME) !== null) return { ok: true };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { ok: false, field: 'cron', message: `"${cron}": ${text.replace(/^Cron\w+: /, '')}` };
  }
  return { ok: false, field: 'cron', message: `"${cron}" never fires: no month has such a day` };
}

function zoneMessage(zone: string): string {
  const offset = /^(?:UTC|GMT)?([+-])0?(\d{1,2})(?::?00)?$/.exec(zone);
  if (offset !== null) {
    // Etc/GMT counts west of Greenwich as positive.
    return `"${zone}" is an offset: name a place such as Europe/Berlin, or write Etc/GMT${offset[1] === '+' ? '-' : '+'}${offset[2]}`;
  }
  const zones = [...Intl.supportedValuesOf('timeZone'), 'UTC'];
  const place = zones.find((known) =>
    known.toLowerCase().endsWith(`/${zone.toLowerCase().replaceAll(' ', '_')}`),
  );
  const close = place ?? nearest(zone, zones);
  const end =
    close === undefined ? 'use an IANA name such as Europe/Berlin or UTC' : `did you mean "${close}"?`;
  return `there is no time zone "${zone}": ${end}`;
}

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
}
const SECOND: Field = { name: 'seconds', min: 0, max: 59 };
const FIVE: readonly Field[] = [
  { name: 'minutes', min: 0, max: 59 },
  { name: 'hours', min: 0, max: 23 },
  { name: 'days of the month', min: 1, max: 31 },
  { name: 'months', min: 1, max: 12 },
  { name: 'days of the week', min: 0, max: 7 },
];
const NICKNAMES = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'];
const LAYOUT = 'write minute, hour, day of month, month, day of week; a sixth field in front is seconds';

/** The slips that people make, in their words; what is left over is croner's to refuse. */
function findProblem(cron: string): string | undefined {
  const text = cron.trim();
  if (/^(CRON_)?TZ=/i.test(text)) return 'the time zone belongs into "zone"';
  if (text.startsWith('@')) return nicknameProblem(text);
  const fields = text === '' ? [] : text.split(/\s+/);
  const year = fields.at(-1);
  if (fields.length >= 6 && year !== undefined && /^\d{4}(-\d{4})?$/.test(year)) {
    return `there is no field for years (${year}): ${LAYOUT}`;
  }
  if (fields.length !== 5 && fields.length !== 6) {
    return `there ${fields.length === 1 ? 'is 1 field' : `are ${fields.length} fields`}: ${LAYOUT}`;
  }
  const layout = fields.length === 6 ? [SECOND, ...FIVE] : FIVE;
  for (const [i, field] of layout.entries()) {
    const problem = fieldProblem(fields[i] ?? '', field);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function nicknameProblem(text: string): string | undefined {
  if (NICKNAMES.includes(text.toLowerCase())) return undefined;
  if (/^@every\b/i.test(text))
    return 'there is no @every: */5 * * * * is every five minutes, */10 * * * * * every ten seconds';
  if (/^@reboot/i.test(text)) return 'there is no @reboot: a schedule has times only';
  return `unknown short form: there is ${NICKNAMES.join(', ')}`;
}

function fieldProblem(text: string, field: Field): string | undefined {
  for (const part of text.split(',')) {
    if (part === '') return `${field.name}: there is a comma too many in "${text}"`;
    if (/^H\b/.test(part))
      return `${field.name}: "H" is Jenkins' own: write a number between ${field.min} and ${field.max}`;
    const problem = partProblem(part, field);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function partProblem(part: string, { name, min, max }: Field): string | undefined {
  const [range = '', step] = part.split('/');
  const [from, to] = range.split('-').map((end) => (/^\d+$/.test(end) ? Number(end) : undefined));
  for (const end of [from, to]) {
    if (end !== undefined && (end < min || end > max)) return `"${end}": ${name} run from ${min} to ${max}`;
  }
  if (step !== undefined && from !== undefined && to === undefined && !range.includes('-')) {
    return `${name}: "${part}" has no end: write ${from}-${max}/${step}`;
  }
  if (step !== undefined && (!/^\d+$/.test(step) || Number(step) < 1))
    return `${name}: "/${step}" is no step: write a number from 1 on`;
  if (from !== undefined && to !== undefined && from > to) {
    return `${name}: "${range}" runs backwards: write ${from}-${max},${min}-${to}`;
  }
  return undefined;
}
