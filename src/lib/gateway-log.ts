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
export function createLog(style: 'json' | 'text', write: (line: string) => void = writeError): GatewayLog {
  const logger = pino(
    {
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: style === 'json' ? write : (line) => write(asText(line)) },
  );
  return {
    info: (message, fields = {}) => logger.info(fields, message),
    warn: (message, fields = {}) => logger.warn(fields, message),
    error: (message, fields = {}) => logger.error(fields, message),
  };
}

function writeError(line: string): void {
  process.stderr.write(line);
}

function asText(line: string): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const details = Object.entries(fields).map(([name, value]) => `${name}=${fieldText(value)}`);
  const mark = level === 'info' ? '' : `${String(level).toUpperCase()} `;
  return `${String(time).slice(11, 19)} ${mark}${String(msg)}${details.length === 0 ? '' : `  (${details.join(' ')})`}\n`;
}

/** Control characters would let a sender's text move the cursor or forge a line. */
function fieldText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
