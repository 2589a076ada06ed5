import type { Template } from './expression.ts';

/** How an event becomes an execution. */
export interface RunMapping {
  readonly job: string;
  /** The only env names that an event may set. */
  readonly env: Readonly<Record<string, Template>>;
  readonly args: readonly Template[] | null;
  readonly taskCount: Template | null;
  /** Renders to a duration such as `90s` or `1h30m`. */
  readonly timeout: Template | null;
}
