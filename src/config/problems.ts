import { TappetError } from '../core/errors.ts';
import type { z } from 'zod';
import { plainIssues } from '../lib/issue-text.ts';
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
    for (const issue of plainIssues(issues, path)) {
      if (issue.atKey) this.addKey(issue.path, issue.message);
      else this.add(issue.path, issue.message);
    }
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

function byPlace(a: Problem, b: Problem): number {
  if (a.place.file !== b.place.file) return a.place.file < b.place.file ? -1 : 1;
  return a.place.line - b.place.line || a.place.column - b.place.column;
}

export function placeText({ file, line, column }: Place): string {
  return `${file}:${line}:${column}`;
}

export function pathText(path: readonly PathSegment[]): string {
  return path.reduce<string>((text, segment) => {
    if (typeof segment === 'number') return `${text}[${segment}]`;
    return text === '' ? segment : `${text}.${segment}`;
  }, '');
}
