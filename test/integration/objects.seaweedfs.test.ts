import { S3ObjectStore } from '../../src/objects/s3-store.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { objectsContract } from '../contract/objects.contract.ts';
import { FakeLog } from '../support/fake-log.ts';
import { testSeaweedfs } from '../support/minio.ts';
import { connectionTo, keysOf } from '../support/object-stores.ts';

objectsContract('SeaweedFS', async () => {
  const real = await testSeaweedfs();
  const spec = connectionTo(real.server.url);
  const options = {
    name: 'store',
    spec,
    secrets: keysOf(real.server),
    clock: new SystemClock(),
    log: new FakeLog(),
  };
  return {
    real,
    store: new S3ObjectStore(options),
    oddKeys: ['line\nbreak', 'one\u0001two', ' lead', 'trail ', 'cr\rend'],
    byteOrder: false,
  };
});
