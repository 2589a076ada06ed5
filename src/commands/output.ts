import { stringify } from 'yaml';
import type { CliIo } from './io.ts';

export const FORMATS = ['table', 'json', 'yaml'] as const;
export type Format = (typeof FORMATS)[number];

/** Data as asked for; `text` makes what people read. */
export async function print(io: CliIo, format: Format, value: unknown, text: () => string): Promise<void> {
  if (format === 'json') await io.out(`${JSON.stringify(value, null, 2)}\n`);
  else if (format === 'yaml') await io.out(stringify(value));
  else await io.out(`${text()}\n`);
}

/** Columns as wide as their widest cell; nothing after the last one. */
export function table(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headers, ...rows.map((row) => row.map(clean))];
  const widths = headers.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** One resource for people: a line per field, what is empty left out, nested values as JSON. */
export function fields(value: object, now: number): string {
  const entries = Object.entries(value).filter(([, field]) => !isEmpty(field));
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, field]) => `${name.padEnd(width)}  ${fieldText(name, field, now)}`).join('\n');
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function fieldText(name: string, value: unknown, now: number): string {
  if (typeof value !== 'string') return clean(JSON.stringify(value));
  return name.endsWith('Time') || name === 'deadline' ? when(value, now) : clean(value);
}

/** `2m ago (2026-01-31T08:00:00Z)`; `-` where there is no time. */
export function when(time: string | null, now: number): string {
  if (time === null) return '-';
  const ms = Date.parse(time);
  const distance = approximate(Math.abs(now - ms));
  const relative = ms <= now ? `${distance} ago` : `in ${distance}`;
  return `${relative} (${time.replace(/\.\d+Z$/, 'Z')})`;
}

function approximate(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 90) return `${seconds}s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)}m`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)}h`;
  return `${Math.round(seconds / 86_400)}d`;
}

/** What others wrote must not move the cursor, clear the screen or forge a line. */
export function clean(text: string): string {
  return text.replace(
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
