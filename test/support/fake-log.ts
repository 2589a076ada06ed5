import type { Log } from '../../src/core/log.ts';

/** Keeps what was logged. */
export class FakeLog implements Log {
  readonly lines: {
    level: 'info' | 'warn' | 'error';
    message: string;
    fields: Readonly<Record<string, unknown>>;
  }[] = [];
  info(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push({ level: 'info', message, fields });
  }
  warn(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push({ level: 'warn', message, fields });
  }
  error(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push({ level: 'error', message, fields });
  }
}
