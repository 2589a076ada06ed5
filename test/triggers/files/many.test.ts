import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FilesRig } from '../../support/files-rig.ts';

it('deals with many files in transactions of a hundred', async () => {
  const rig = new FilesRig();
  for (let i = 0; i < 20; i++) mkdirSync(join(rig.root, `d${i}`), { recursive: true });
  for (let i = 0; i < 700; i++) writeFileSync(join(rig.root, `d${i % 20}/${i}.csv`), '');
  await rig.start({ existing: 'run' });
  await rig.pass(3);
  expect(new Set(rig.names()).size).toBe(700);
  const accepts = rig.store.commits.flat().length;
  expect(accepts).toBeLessThanOrEqual(700 / 100 + 2);
  await rig.scanned();
  expect(rig.names()).toHaveLength(700);
  expect(rig.store.commits.flat()).toHaveLength(accepts);
});
