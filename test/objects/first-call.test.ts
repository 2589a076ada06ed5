import { expect, it, vi } from 'vitest';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { createObjects } from '../../src/objects/objects.ts';
import { FakeLog } from '../support/fake-log.ts';
import { connectionTo, HeldSecrets } from '../support/object-stores.ts';

it('says nothing of the SDK’s own plans, and leaves the environment as it was', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const before = { ...process.env };
  const objects = createObjects({
    connections: new Map([['media', connectionTo('http://127.0.0.1:9')]]),
    secrets: new HeldSecrets({ ACCESS_KEY: 'a', SECRET_KEY: 'b' }),
    clock: new SystemClock(),
    log: new FakeLog(),
  });
  await expect(objects.connection('media')?.head({ bucket: 'b', key: 'k' })).rejects.toMatchObject({
    code: 'OBJECT_STORE_UNAVAILABLE',
    message: 'the object store "media" (http://127.0.0.1:9) refuses the connection',
  });
  objects.close();
  expect(warn.mock.calls.filter(([text]) => String(text).includes('AWS'))).toEqual([]);
  expect({ ...process.env }).toEqual(before);
});
