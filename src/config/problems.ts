import { TappetError } from '../core/errors.ts';
import type { z } from 'zod';
import type { PathSegment } from './documents.ts';

export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

type Locate = (path: readonly PathSegment[], at?: 'key') => Place;

interface Problem {
  readonly place: Place;
  readonly path: string;
  readonly message: string;
}

/** Collects everything that is wrong, so that a reader mends it in one go. */
export class Problems {
  readonly #found: Problem[] = [];
  #locate: Locate = () => ({ file: '', line: 1, column: 1 });

  /** How paths become places; known once the files are parsed. */
  locateWith(locate: Locate): void {
    this.#locate = locate;
  }

  add(path: readonly PathSegment[], message: string): void {
    this.addAt(this.#locate(path), pathText(path), message);
  }

  /** The same, where the key itself is what is wrong. */
  addKey(path: readonly PathSegment[], message: string): void {
    this.addAt(this.#locate(path, 'key'), pathText(path), message);
  }

  addAt(place: Place, path: string, message: string): void {
    this.#found.push({ place, path, message });
  }

  place(path: readonly PathSegment[]): Place {
    return this.#locate(path);
  }

  addIssues(path: readonly PathSegment[], issues: readonly z.core.$ZodIssue[]): void {
    for (const issue of issues) this.#addIssue(path, issue);
  }

  get any(): boolean {
    return this.#found.length > 0;
  }

  /** CONFIG_INVALID with a line per problem, in the order of the files. */
  toError(): TappetError {
    const sorted = [...this.#found].sort(byPlace);
    const errors = sorted.map(({ place, path, message }) => ({
      path: path === '' ? placeText(place) : `${placeText(place)} ${path}`,
      message,
    }));
    const text = errors.map(({ path, message }) => `${path}: ${message}`).join('\n');
    return new TappetError('CONFIG_INVALID', text, { errors });
  }

  #addIssue(base: readonly PathSegment[], issue: z.core.$ZodIssue): void {
    const path = [...base, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
    if (issue.code === 'unrecognized_keys') {
      // One line of the message per key: see `strictObject`.
      const lines = issue.message.split('\n');
      issue.keys.forEach((key, i) => this.addKey([...path, key], lines[i] ?? issue.message));
      return;
    }
    const branch = issue.code === 'invalid_union' ? likeliestBranch(issue.errors) : undefined;
    if (branch !== undefined) {
      for (const inner of branch) this.#addIssue(path, inner);
      return;
    }
    this.add(path, issueText(issue));
  }
}

function byPlace(a: Problem, b: Problem): number {
  if (a.place.file !== b.place.file) return a.place.file < b.place.file ? -1 : 1;
  return a.place.line - b.place.line || a.place.column - b.place.column;
}

export function placeText({ file, line, column }: Place): string {
  return `${file}:${line}:${column}`;
}

function pathText(path: readonly PathSegment[]): string {
  return path.reduce<string>((text, segment) => {
    if (typeof segment === 'number') return `${text}[${segment}]`;
    return text === '' ? segment : `${text}.${segment}`;
  }, '');
}

/** Of a union, the form that the writer began: the one that got further than "this is something else altogether". */
function likeliestBranch(
  branches: readonly (readonly z.core.$ZodIssue[])[],
): readonly z.core.$ZodIssue[] | undefined {
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

function issueText(issue: z.core.$ZodIssue): string {
  // Messages of our own schemas say more than these.
  if (!/^(Invalid|Too|Unrecognized)/.test(issue.message)) return issue.message;
  if (issue.code === 'invalid_type') return typeText(issue.expected, issue.input);
  if (issue.code === 'invalid_value') {
    return `must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}${issue.input === undefined ? '; it is missing' : ''}`;
  }
  if (issue.code === 'too_small') return boundText('at least', issue.minimum, issue.origin);
  if (issue.code === 'too_big') return boundText('at most', issue.maximum, issue.origin);
  if (issue.code === 'invalid_union') return issue.input === undefined ? 'is missing' : 'has the wrong form';
  return issue.message;
}

function typeText(expected: string, input: unknown): string {
  const wanted = TYPE_WORDS[expected] ?? `a ${expected}`;
  if (input === undefined) return `is missing; it must be ${wanted}`;
  const found =
    input === null ? 'empty' : Array.isArray(input) ? 'a list' : (TYPE_WORDS[typeof input] ?? typeof input);
  return `must be ${wanted}, not ${found}`;
}

function boundText(words: string, bound: number | bigint, origin: string): string {
  if (origin !== 'number' && origin !== 'int' && Number(bound) === 1 && words === 'at least')
    return 'must not be empty';
  const unit = origin === 'string' ? ' characters long' : origin === 'array' ? ' items long' : '';
  return `must be ${words} ${bound}${unit}`;
}
