import { inspect } from 'node:util';
import pino from 'pino';

type Fields = Readonly<Record<string, unknown>>;

export interface GatewayLog {
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

/**
 * The gateway's own log, on standard error: one JSON object a line for machines, one short line of text for a
 * person at a terminal. Written synchronously: the lines before a crash are the ones that matter.
 */
export function createLog(
  style: 'json' | 'text',
  write: (line: string) => void = standardError(),
): GatewayLog {
  const logger = pino(
    {
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: style === 'json' ? write : (line) => write(asText(line)) },
  );
  return {
    info: (message, fields = {}) => logger.info(readable(fields), message),
    warn: (message, fields = {}) => logger.warn(readable(fields), message),
    error: (message, fields = {}) => logger.error(readable(fields), message),
  };
}

/**
 * Its disk may be full, or whoever read the lines may have gone away: they are lost then, and no reason to end what they
 * tell of. Each line is tried anew.
 */
function standardError(): (line: string) => void {
  const { stderr } = process;
  if (!stderr.listeners('error').includes(doWithout)) stderr.on('error', doWithout);
  return (line) => void stderr.write(line);
}

const doWithout = (): void => undefined;

/** An error as JSON is `{}`: what it says stands in properties that are not its own to list. */
function readable(fields: Fields): Fields {
  const entries = Object.entries(fields);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, value instanceof Error ? wholeError(value) : value]),
  );
}

/** More links of a chain than this help nobody, and a chain may be a ring. */
const MAX_CAUSES = 5;

/** An error with a code is known, and its words are enough; of any other, the stack says where to look. */
function wholeError(error: Error, depth = 0): string {
  const { cause } = error;
  const text =
    'code' in error && typeof error.code === 'string' ? coded(error.code, error.message) : stackOf(error);
  if (cause === undefined || depth === MAX_CAUSES) return text;
  return `${text}; caused by ${cause instanceof Error ? wholeError(cause, depth + 1) : inspect(cause)}`;
}

/** Node's own errors begin with their code already. */
function coded(code: string, message: string): string {
  return message.startsWith(code) ? message : `${code}: ${message}`;
}

const stackOf = (error: Error): string => error.stack ?? `${error.name}: ${error.message}`;

function asText(line: string): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const details = Object.entries(fields).map(([name, value]) => `${name}=${fieldText(value)}`);
  const mark = level === 'info' ? '' : `${String(level).toUpperCase()} `;
  return `${String(time).slice(11, 19)} ${mark}${fieldText(msg)}${details.length === 0 ? '' : `  (${details.join(' ')})`}\n`;
}

/** Control characters would let a sender's text move the cursor or forge a line. */
function fieldText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  // The lines of a stack, on one.
  const lines = text.split(/\n\s*/);
  const joined = lines.map((line, i) => (i < lines.length - 1 ? line.trimEnd() : line)).join(' | ');
  return joined.replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
