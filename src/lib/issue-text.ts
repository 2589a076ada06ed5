import type { z } from 'zod';

type Issue = z.core.$ZodIssue;
type Path = readonly (string | number)[];

/** One thing that is wrong, in plain words. `atKey`: the key itself is, not its value. */
interface PlainIssue {
  readonly path: Path;
  readonly message: string;
  readonly atKey: boolean;
}

/**
 * What zod found, in the words of Tappet; an issue per unknown key, and of a union the form that the writer began.
 * Parse with `reportInput`: without it everything looks as if it were missing.
 */
export function plainIssues(issues: readonly Issue[], base: Path = []): PlainIssue[] {
  return issues.flatMap((issue) => {
    const path = [...base, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
    if (issue.code === 'unrecognized_keys') {
      // One line of the message per key: see `strictObject`.
      const lines = issue.message.split('\n');
      return issue.keys.map((key, i) => ({
        path: [...path, key],
        message: lines[i] ?? issue.message,
        atKey: true,
      }));
    }
    const branch = issue.code === 'invalid_union' ? likeliestBranch(issue.errors) : undefined;
    if (branch !== undefined) return plainIssues(branch, path);
    return [{ path, message: issueText(issue), atKey: false }];
  });
}

/** The `error` of a zod text that is a duration: a bare number is the usual slip. */
export function unitMissing({ input }: { readonly input?: unknown }): string | undefined {
  return typeof input === 'number' ? `must have a unit: write "${input}s"` : undefined;
}

/** Of a union, the form that the writer began: the one that got further than "this is something else altogether". */
function likeliestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  return branches.find((issues) => {
    const atRoot = issues.some(
      (issue) => issue.path.length === 0 && /^invalid_(type|value)$/.test(issue.code),
    );
    return issues.length > 0 && !atRoot;
  });
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a map of names to values',
  record: 'a map of names to values',
  array: 'a list',
};

function issueText(issue: Issue): string {
  // Messages of our own schemas say more than these.
  if (!/^(Invalid|Too|Unrecognized)/.test(issue.message)) return issue.message;
  if (issue.code === 'invalid_type') return typeText([issue.expected], issue.input);
  if (issue.code === 'invalid_value') {
    return `must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}${issue.input === undefined ? '; it is missing' : ''}`;
  }
  if (issue.code === 'too_small') return boundText('at least', issue.minimum, issue.origin);
  if (issue.code === 'too_big') return boundText('at most', issue.maximum, issue.origin);
  if (issue.code === 'invalid_union') return unionText(issue);
  return issue.message;
}

function unionText(issue: Extract<Issue, { code: 'invalid_union' }>): string {
  const expected = issue.errors.flatMap((branch) =>
    branch.flatMap((inner) => (inner.code === 'invalid_type' ? [inner.expected] : [])),
  );
  if (expected.length > 0) return typeText(expected, issue.input);
  return issue.input === undefined ? 'is missing' : 'has the wrong form';
}

function typeText(expected: readonly string[], input: unknown): string {
  const words = [...new Set(expected.map((type) => TYPE_WORDS[type] ?? `a ${type}`))];
  const last = words.pop() ?? '';
  const wanted = words.length === 0 ? last : `${words.join(', ')} or ${last}`;
  if (input === undefined) return `is missing; it must be ${wanted}`;
  if (input === null) return `must be ${wanted}, but nothing stands there`;
  return `must be ${wanted}, not ${Array.isArray(input) ? 'a list' : (TYPE_WORDS[typeof input] ?? typeof input)}`;
}

function boundText(words: string, bound: number | bigint, origin: string): string {
  if (origin !== 'number' && origin !== 'int' && Number(bound) === 1 && words === 'at least')
    return 'must not be empty';
  const unit = origin === 'string' ? ' characters long' : origin === 'array' ? ' items long' : '';
  return `must be ${words} ${bound}${unit}`;
}
