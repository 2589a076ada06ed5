import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const ROOT = join(import.meta.dirname, '../..');

export interface FoundRegex {
  /** `src/lib/duration.ts:7` */
  readonly place: string;
  readonly file: string;
  readonly source: string;
  readonly flags: string;
}
/** `new RegExp(…)` with a pattern that is made when the program runs. */
export interface MadeRegex {
  readonly place: string;
  readonly file: string;
  /** The pattern's expression, as it stands there. */
  readonly expression: string;
}

/** Every regular expression of the product, by the parser of TypeScript: a search for slashes would find divisions. */
export function productRegexes(): { readonly written: FoundRegex[]; readonly made: MadeRegex[] } {
  const files = ['src', 'triggers'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => `${folder}/${name}`),
  );
  const found = files.toSorted().map((file) => regexesOf(file, readFileSync(join(ROOT, file), 'utf8')));
  return { written: found.flatMap((one) => one.written), made: found.flatMap((one) => one.made) };
}

export function regexesOf(file: string, text: string) {
  const parsed = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const written: FoundRegex[] = [];
  const made: MadeRegex[] = [];
  const visit = (node: ts.Node): void => {
    const place = `${file}:${parsed.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/');
      written.push({ place, file, source: node.text.slice(1, end), flags: node.text.slice(end + 1) });
    }
    if ((ts.isNewExpression(node) || ts.isCallExpression(node)) && node.expression.getText() === 'RegExp') {
      const [pattern, flags] = node.arguments ?? [];
      const flagText = flags === undefined ? '' : ts.isStringLiteralLike(flags) ? flags.text : undefined;
      if (pattern !== undefined && ts.isStringLiteralLike(pattern) && flagText !== undefined)
        written.push({ place, file, source: pattern.text, flags: flagText });
      else made.push({ place, file, expression: pattern?.getText() ?? '' });
    }
    node.forEachChild(visit);
  };
  visit(parsed);
  return { written, made };
}
