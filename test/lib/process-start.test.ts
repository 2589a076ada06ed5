import { expect, test } from 'vitest';
import { processStart } from '../../src/lib/process-start.ts';

test.runIf(process.platform === 'linux')(
  'tells processes apart, and is the same whenever it is asked',
  async () => {
    const own = await processStart(process.pid);
    expect(own).toMatch(/^[0-9a-f-]{36}\/\d+$/);
    expect(await processStart(process.pid)).toBe(own);
    expect(await processStart(process.ppid)).not.toBe(own);
  },
);

test('is null where there is no such process', async () => {
  expect(await processStart(2 ** 22 + 1)).toBeNull();
});
