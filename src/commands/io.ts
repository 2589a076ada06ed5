import type { Fetch } from '../client/api.ts';
import type { Pause } from '../client/client.ts';

/** Everything that a command touches outside of itself, so that a test can run one in its own process. */
export interface CliIo {
  readonly env: NodeJS.ProcessEnv;
  /** Standard output: data, and nothing else. Resolves when more may be written. */
  out(data: string | Uint8Array): Promise<void>;
  /** Standard error: one message. */
  err(line: string): void;
  readStdin(): Promise<string>;
  /** What somebody types after this question, unseen; where nobody sits at a terminal, standard input's bytes. */
  readSecret(question: string): Promise<Uint8Array>;
  /** What somebody types after this question; undefined where nobody sits at a terminal. */
  ask(question: string): Promise<string | undefined>;
  /** Epoch milliseconds. */
  now(): number;
  readonly fetch: Fetch;
  readonly pause: Pause;
  /** Aborts at Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  /** Has the second Ctrl-C or SIGTERM call `fn`, and only the third end the process; returns a function that takes it back. */
  onSecondInterrupt(fn: () => void): () => void;
  /** Calls `fn` at each SIGHUP; returns a function that takes it back. */
  onHangUp(fn: () => void): () => void;
  readonly version: string;
}

/** Ends the command with this code, its reason already told. */
export class ExitWith extends Error {
  readonly code: number;
  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}
