import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import type { ChaosRow } from './chaos-row.ts';
import { engineRequest } from './engine.ts';

/** The rounds of a row that are one test: one that fails does not keep the others from running. */
export class ChaosRounds {
  readonly #row: ChaosRow;
  readonly #violations: string[] = [];
  #run = 0;

  constructor(row: ChaosRow) {
    this.#row = row;
  }

  /** `what`: what is particular about this round, for whoever reads of its violation. */
  async round(what: string, body: () => Promise<void>): Promise<void> {
    const run = ++this.#run;
    this.#row.begin();
    try {
      await body();
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#violations.push(`round ${run} (${what}): ${text}`);
      this.#row.violated(1);
    }
  }

  /** Prints the line that is counted; gives what was violated, to be nothing, which it is not where no round was run. */
  finish(): string[] {
    this.#row.report();
    return this.#run === 0 ? ['not a single round was run'] : this.#violations;
  }
}

interface EngineContainer {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly State: string;
}

/** Asked of the engine itself: the containers that `filters` say, as the engine has them, those that have ended too. */
export async function containersWith(
  engine: EngineEndpoint,
  filters: Readonly<Record<string, readonly string[]>>,
): Promise<EngineContainer[]> {
  const path = `/v1.41/containers/json?all=1&filters=${encodeURIComponent(JSON.stringify(filters))}`;
  const { status, body } = await engineRequest(engine, 'GET', path);
  if (status !== 200) throw new Error(`The engine does not list its containers: ${status} ${body}`);
  return JSON.parse(body) as EngineContainer[];
}

/** Those of one execution. */
export function containersOf(engine: EngineEndpoint, execution: string): Promise<EngineContainer[]> {
  return containersWith(engine, { label: [`dev.tappet.execution=${execution}`] });
}

/** No container of this execution is left, soon after its end. */
export async function untilNoContainer(engine: EngineEndpoint, execution: string): Promise<void> {
  await eventually(`no container of ${execution}`, async () => {
    const left = await containersOf(engine, execution);
    return left.length === 0 ? true : undefined;
  });
}

/** Asks every 50 ms until `check` gives something. */
export async function eventually<T>(
  what: string,
  check: () => T | undefined | Promise<T | undefined>,
  withinMs = 15_000,
): Promise<T> {
  const end = Date.now() + withinMs;
  for (;;) {
    const found = await check();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
