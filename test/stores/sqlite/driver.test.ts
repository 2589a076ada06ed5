import Sqlite from 'better-sqlite3';
import { expect, it } from 'vitest';
import { Memo } from '../../../src/stores/sqlite/db.ts';
import { connectionOf } from '../../../src/stores/sqlite/driver.ts';

it('gives each value under the name of its column, whatever that is', () => {
  const connection = connectionOf(new Sqlite(':memory:'));
  const statement = connection.prepare(
    `SELECT 1 AS "it's", 'x' AS "a ""b""", NULL AS "\\", 4 AS "}; throw 1; {"`,
  );
  const row = { "it's": 1, 'a "b"': 'x', '\\': null, '}; throw 1; {': 4 };
  expect(statement.get()).toEqual(row);
  expect(statement.all()).toEqual([row]);
  expect(connection.prepare('SELECT 1 AS n WHERE FALSE').get()).toBeUndefined();
  connection.close();
});

it('reads a statement prepared before a column was added as it was then', () => {
  const connection = connectionOf(new Sqlite(':memory:'));
  connection.exec('CREATE TABLE t (a, b)');
  const statement = connection.prepare('SELECT 0 AS first, * FROM t');
  connection.exec('INSERT INTO t VALUES (1, 2)');
  connection.exec('ALTER TABLE t ADD COLUMN c DEFAULT 3');
  expect(statement.get()).toEqual({ first: 0, a: 1, b: 2 });
  connection.close();
});

it('a memo asks once until it is told to forget, and again for what was not there', () => {
  const memo = new Memo();
  let asked = 0;
  const read = (): number => (asked += 1);
  expect([memo.get('a', read), memo.get('a', read), memo.get('b', read)]).toEqual([1, 1, 2]);
  memo.forget();
  expect(memo.get('a', read)).toBe(3);
  expect(memo.get<number | undefined>('c', () => undefined)).toBeUndefined();
  expect(memo.get<number | undefined>('c', read)).toBe(4);
});
