import { TappetError } from '../core/errors.ts';
import type { z } from 'zod';
import { plainIssues } from '../lib/issue-text.ts';
import { pathText } from '../lib/path-text.ts';
import type { ConfigDocument } from './documents.ts';
import type { PathSegment } from './positions.ts';

export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

type Path = readonly PathSegment[];

interface Problem {
  readonly place: Place;
  readonly path: string;
  readonly message: string;
}

/** Collects everything that is wrong, so that a reader mends it in one go. */
export class Problems {
  readonly #found: Problem[] = [];

  addAt(place: Place, path: string, message: string): void {
    this.#found.push({ place, path, message });
  }

  /** For what stands in one file. */
  in(document: ConfigDocument): Report {
    return new Report(this, document);
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
}

/** Takes what is wrong in one file. */
export class Report {
  readonly #problems: Problems;
  readonly #document: ConfigDocument;

  constructor(problems: Problems, document: ConfigDocument) {
    this.#problems = problems;
    this.#document = document;
  }

  add(path: Path, message: string): void {
    this.#problems.addAt(this.#document.place(path), pathText(path), message);
  }

  /** The same, where the key itself is what is wrong. */
  addKey(path: Path, message: string): void {
    this.#problems.addAt(this.#document.place(path, 'key'), pathText(path), message);
  }

  addIssues(path: Path, issues: readonly z.core.$ZodIssue[]): void {
    for (const issue of plainIssues(issues, path)) {
      if (issue.atKey) this.addKey(issue.path, issue.message);
      else this.add(issue.path, issue.message);
    }
  }

  place(path: Path, at?: 'key'): Place {
    return this.#document.place(path, at);
  }
}

function byPlace(a: Problem, b: Problem): number {
  if (a.place.file !== b.place.file) return a.place.file < b.place.file ? -1 : 1;
  return a.place.line - b.place.line || a.place.column - b.place.column;
}

export function placeText({ file, line, column }: Place): string {
  return `${file}:${line}:${column}`;
}
