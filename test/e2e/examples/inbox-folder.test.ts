import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { exampleFile, RunningExample } from '../../support/example.ts';

let example: RunningExample;
beforeAll(async () => {
  example = await RunningExample.make('inbox-folder');
  writeFileSync(join(example.dir, 'inbox/old.csv'), 'a,b\n1,2\n');
  await example.gateway.start();
});
afterAll(() => example.close());

function drop(name: string, text: string | Buffer): void {
  const file = join(example.dir, 'inbox', name);
  writeFileSync(`${file}.part`, text);
  renameSync(`${file}.part`, file);
}

it('imports a CSV that is dropped into the folder, and not what was there before', async () => {
  drop('people of today.csv', exampleFile('inbox-folder', 'people.csv'));
  const { execution } = await example.executionOf('inbox-folder');
  expect(execution, await example.log(execution)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await example.log(execution)).toBe('3 rows of people of today.csv imported\n');
  const rows = (await example.get('imports/people of today.csv.jsonl')).toString().trimEnd().split('\n');
  expect(rows.map((row) => JSON.parse(row) as unknown)).toEqual([
    { name: 'Ada Lovelace', city: 'London', note: 'first, and a mathematician' },
    { name: 'Grace Hopper', city: 'New York', note: 'said "it is easier to ask forgiveness"' },
    { name: 'Hedy Lamarr', city: 'Wien', note: '' },
  ]);
  expect(await example.list('imports/')).toEqual(['imports/people of today.csv.jsonl']);
});

it('fails at once, with the line, where a row has too few fields', async () => {
  drop('short.csv', 'a,b\n1,2\n3\n');
  const failed = await example.gateway.until(
    '/api/v1/executions?state=FAILED',
    ({ executions }) => (executions as { name: string; retriedCount: number }[])[0],
  );
  expect(failed).toMatchObject({ retriedCount: 0 });
  expect(await example.log(failed)).toBe('line 3 has 1 fields, the header has 2\n');
});
