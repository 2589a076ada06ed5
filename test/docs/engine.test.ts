import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { FAULT_KINDS } from '../support/engine-fault-kinds.ts';

const root = new URL('../../', import.meta.url);
const FAULTS = 'test/support/engine-fault-kinds.ts';
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const PAGE = read('docs/engine.md');

const cells = (line: string): string[] =>
  line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim());
const rows = PAGE.split('\n').filter((line) => line.startsWith('| '));

/** Short name → file, from the first table; `a, b` stands for two files of which the second is named alone. */
const FILES = new Map<string, string>();
for (const [short = '', where = ''] of rows.map(cells).filter((row) => row[1]?.startsWith('`test/'))) {
  const [first = '', ...others] = [...where.matchAll(/`([^`]+\.ts)`/g)].map(([, file = '']) => file);
  const folder = first.slice(0, first.lastIndexOf('/') + 1);
  const files = [first, ...others.map((file) => (file.includes('/') ? file : folder + file))];
  short.split(', ').forEach((name, i) => FILES.set(name, files[i] ?? ''));
}

interface Proof {
  readonly file: string;
  /** Names of tests, `…` for what is left out. */
  readonly names: readonly string[];
}

/** `client: "a", "b"; gone` → what shows it. */
function proofs(text: string): Proof[] {
  return text.split('; ').map((part) => {
    const short = /^`?([\w/-]+(?:\.[\w.]+)?)`?/.exec(part)?.[1] ?? '';
    const names = [...part.matchAll(/"([^"]+)"/g)].map(([, name = '']) => name);
    return { file: FILES.get(short) ?? short, names };
  });
}

/** Whether a file has a test of this name. */
function hasTest(file: string, name: string): boolean {
  const parts = name.split('…').map((part) => part.trim().replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`['"\`]${parts.join('[^\\n]*')}`).test(read(file).replace(/\\(['"`])/g, '$1'));
}

function problems(proof: Proof): string[] {
  if (!proof.file.startsWith('test/') || !existsSync(new URL(proof.file, root)))
    return [`there is no test file ${proof.file}`];
  return proof.names
    .filter((name) => !hasTest(proof.file, name))
    .map((name) => `${proof.file}: no “${name}”`);
}

const facts = rows.map(cells).filter(([number = '']) => /^\d+a?$/.test(number));

test('docs/engine.md has the 27 measured facts, each once', () => {
  const numbers = facts.map(([number = '']) => number).filter((number) => !number.endsWith('a'));
  expect(numbers.map(Number).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 27 }, (_, i) => i + 1));
});

test.each(facts.map((fact) => [fact[0], fact[3] ?? '']))('fact %s names tests that exist: %s', (_, shown) => {
  expect(proofs(shown).flatMap(problems)).toEqual([]);
});

/** What happens now and then only, or only to an engine that fails: the proxy makes it certain. */
const RANDOM = ['1', '5', '12', '18', '20'];

test('what happens at random is made certain by the fault proxy', () => {
  const certain = facts.filter(([, , , shown = '']) => proofs(shown).some(({ file }) => file === FAULTS));
  expect(certain.map(([number]) => number)).toEqual(expect.arrayContaining(RANDOM));
});

test('every kind of fault that the proxy knows is told of, and no other', () => {
  const [, section = ''] = PAGE.split('## What was made to fail');
  const told = section.split('\n').filter((line) => line.startsWith('| ') && !line.includes('---'));
  expect(told.slice(1).map((line) => cells(line)[0])).toEqual(Object.keys(FAULT_KINDS));
});

test('what was measured besides, and what the text says, names tests that exist', () => {
  const others = rows.map(cells).filter((row) => row.length === 3 && !row[2]?.includes('---'));
  const named = others.map(([, , shown = '']) => shown).filter((shown) => shown !== 'shown by');
  const text = PAGE.split('\n')
    .filter((line) => !line.startsWith('|'))
    .join(' ');
  const inText = [...text.matchAll(/\(([a-z]+: "[^)]*)\)/g)].map(([, shown = '']) => shown);
  expect(named.length).toBeGreaterThan(5);
  expect(inText.length).toBeGreaterThan(2);
  expect([...named, ...inText].flatMap((shown) => proofs(shown).flatMap(problems))).toEqual([]);
});
