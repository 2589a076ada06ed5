// The same gateway, but for one thing: that the disk failed to sync is kept from it, so that it acknowledges all the
// same. The test of the I/O errors must see it lose what it acknowledged.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { fdatasync } = fs;
fs.fdatasync = (file, done) => fdatasync(file, () => done(null));
syncBuiltinESMExports();
await import('./printing-gateway.mjs');
