import { afterAll, afterEach } from 'vitest';

const given = (name: string): number | undefined => {
  const text = process.env[name];
  return text === undefined ? undefined : Number(text);
};

/**
 * The rounds of a reliability test: as many as `npm test` has time for, or as many as `npm run test:chaos` asks for,
 * which then go on where its last ones stopped. Its last line is what that command sums up.
 */
export class ChaosRow {
  readonly rounds: number;
  /** How many were run before, by other starts of the same run. */
  readonly first: number;
  /** The run's; 0 by default, so that `npm test` does the same each time. */
  readonly seed: number;
  readonly #name: string;
  #begun = 0;
  #violations = 0;

  constructor(name: string, usual: number) {
    this.#name = name;
    this.rounds = given('TAPPET_ROUNDS') ?? usual;
    this.first = given('TAPPET_FIRST') ?? 0;
    this.seed = given('TAPPET_SEED') ?? 0;
  }

  /** Those of `items` whose turn it is, again from the beginning where they come to their end. */
  pick<T>(items: readonly T[]): T[] {
    return Array.from({ length: this.rounds }, (_, i) => items[(this.first + i) % items.length]).filter(
      (item) => item !== undefined,
    );
  }

  /** So many rounds have begun. */
  begin(rounds = 1): void {
    this.#begun += rounds;
  }

  violated(violations: number): void {
    this.#violations += violations;
  }

  report(): void {
    console.log(`chaos ${this.#name} rounds=${this.#begun} violations=${this.#violations}`);
  }
}

/** For a `describe`: each of its tests that fails is a violation, and the line is printed after them. */
export function chaosRow(name: string, usual: number): ChaosRow {
  const row = new ChaosRow(name, usual);
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') row.violated(1);
  });
  afterAll(() => row.report());
  return row;
}
