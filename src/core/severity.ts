import type { JsonObject } from './json.ts';
import type { LogStream } from './log-sink.ts';

/** Cloud Logging's, from least to most (google.logging.type.LogSeverity). */
export const SEVERITIES = [
  'DEFAULT',
  'DEBUG',
  'INFO',
  'NOTICE',
  'WARNING',
  'ERROR',
  'CRITICAL',
  'ALERT',
  'EMERGENCY',
] as const;
export type Severity = (typeof SEVERITIES)[number];

/** What a line says of itself. `message` only where the line is JSON that has one. */
export interface LineMeaning {
  readonly severity: Severity;
  readonly message?: string;
}

/** A longer line is data rather than a message; parsing it would cost more than it tells. */
const MAX_JSON_CHARS = 64 * 1024;

/** Other words that loggers use: syslog, log4j, pino, Python, Go. */
const WORDS: Readonly<Record<string, Severity>> = {
  TRACE: 'DEBUG',
  VERBOSE: 'DEBUG',
  FINE: 'DEBUG',
  INFORMATION: 'INFO',
  INFORMATIONAL: 'INFO',
  WARN: 'WARNING',
  ERR: 'ERROR',
  SEVERE: 'ERROR',
  CRIT: 'CRITICAL',
  FATAL: 'CRITICAL',
  DPANIC: 'CRITICAL',
  PANIC: 'ALERT',
  EMERG: 'EMERGENCY',
};

/**
 * A line that is one JSON object says its severity in `severity` or `level` and what happened in `message` or `msg`, as
 * for Cloud Logging. Any other line is DEFAULT on stdout, ERROR on stderr.
 */
export function meaningOf(line: string, stream: LogStream): LineMeaning {
  const fallback = stream === 'stderr' ? 'ERROR' : 'DEFAULT';
  const json = objectIn(line);
  if (json === undefined) return { severity: fallback };
  const severity = severityOf(json['severity']) ?? severityOf(json['level']) ?? fallback;
  const message = json['message'] ?? json['msg'];
  return typeof message === 'string' ? { severity, message } : { severity };
}

/** Whether one is at least as severe as another. */
export function reaches(severity: Severity, least: Severity): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(least);
}

function objectIn(line: string): JsonObject | undefined {
  if (line.length > MAX_JSON_CHARS || !/^\s*\{/.test(line) || !/\}\s*$/.test(line)) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return value as JsonObject;
  } catch {
    return undefined;
  }
}

function severityOf(value: unknown): Severity | undefined {
  if (typeof value === 'number') return severityOfNumber(value);
  if (typeof value !== 'string') return undefined;
  const word = value.trim().toUpperCase();
  return (
    SEVERITIES.find((severity) => severity === word) ?? (Object.hasOwn(WORDS, word) ? WORDS[word] : undefined)
  );
}

/** Cloud Logging's numbers are hundreds; those of pino and bunyan tens, from 10 (trace) to 60 (fatal). */
function severityOfNumber(value: number): Severity | undefined {
  if (value >= 100) return SEVERITIES[Math.min(Math.floor(value / 100), SEVERITIES.length - 1)];
  const tens: readonly (Severity | undefined)[] = [
    undefined,
    'DEBUG',
    'DEBUG',
    'INFO',
    'WARNING',
    'ERROR',
    'CRITICAL',
  ];
  return tens[Math.floor(value / 10)];
}
