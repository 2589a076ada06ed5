import { isUtf8 } from 'node:buffer';
import type { LogLineResource } from '../core/api.ts';
import { gapText } from '../core/log-gap.ts';
import { meaningOf, reaches } from '../core/severity.ts';
import type { LineMeaning, Severity } from '../core/severity.ts';
import type { LogLine } from './log-lines.ts';

/** A line, and the attempt that wrote it. */
export interface LogEntry {
  readonly line: LogLine;
  readonly index: number;
  readonly attempt: number;
}

/** Which lines are wanted. */
export interface LineFilter {
  /** Text that stands in it, in letters of either case. */
  readonly q?: string | undefined;
  readonly severity?: Severity | undefined;
  /** Epoch ms. */
  readonly since?: number | undefined;
}

/** A gap is always told of: nobody should take what is left for all there was. */
export function lineTest({ q, severity, since }: LineFilter): (line: LogLine) => boolean {
  const wanted = q?.toLowerCase();
  return ({ bytes, missing, stream, time }) => {
    if (missing !== undefined) return true;
    if (since !== undefined && time < since) return false;
    if (wanted === undefined && severity === undefined) return true;
    const text = bytes.toString();
    if (wanted !== undefined && !text.toLowerCase().includes(wanted)) return false;
    return severity === undefined || reaches(meaningOf(text, stream).severity, severity);
  };
}

/** Lines come in crowds of one millisecond. */
let iso = { time: -1, text: '' };
function isoText(time: number): string {
  if (iso.time !== time) iso = { time, text: new Date(time).toISOString() };
  return iso.text;
}

export function lineResource({ line, index, attempt }: LogEntry): LogLineResource {
  const { stream, offset, bytes, whole, missing } = line;
  const time = isoText(line.time);
  const text = missing === undefined ? bytes.toString() : gapText(missing);
  const { severity, message } = missing === undefined ? meaningOf(text, stream) : GAP;
  // One shape for nearly all: a million of them are made in half of the time that spreads take.
  const plain = { task: index, attempt, stream, time, offset, severity, text };
  const isText = isUtf8(bytes);
  if (message === undefined && missing === undefined && whole && isText) return plain;
  return {
    ...plain,
    ...(message === undefined ? {} : { message }),
    ...(isText ? {} : { base64: bytes.toString('base64') }),
    ...(whole ? {} : { partial: true }),
    ...(missing === undefined ? {} : { missing }),
  };
}

const GAP: LineMeaning = { severity: 'NOTICE' };
