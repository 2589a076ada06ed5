import { nearest } from '../../src/lib/nearest.ts';
import { everFires } from './schedule.ts';
import { isZone } from './zone-offset.ts';

/** What is wrong with a schedule, also that it never fires, and what to write instead; undefined = nothing. */
export function cronProblem(cron: string): string | undefined {
  const problem = findProblem(cron);
  if (problem !== undefined) return `"${cron}": ${problem}`;
  try {
    return everFires(cron) ? undefined : `"${cron}" never fires: no month has such a day`;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return `"${cron}": ${text.replace(/^Cron\w+: /, '')}`;
  }
}

/** What is wrong with the name of a time zone, and what was probably meant; undefined = nothing. */
export function zoneProblem(zone: string): string | undefined {
  return isZone(zone) ? undefined : zoneMessage(zone);
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
