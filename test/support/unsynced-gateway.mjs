// The same gateway, but for one thing: what it writes to files of its own (logs; not the database) is never synced. The
// test of the power cut must see it lose what tasks printed.
import { open } from 'node:fs/promises';

const handle = await open(import.meta.filename);
Object.getPrototypeOf(handle).sync = async () => undefined;
await handle.close();
await import('./printing-gateway.mjs');
