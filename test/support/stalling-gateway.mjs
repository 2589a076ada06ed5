// The same gateway on a disk that stalls: while the file at STALLED is there, no write of a log comes to its end.
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { serveWrapped } from './wrapped-gateway.mjs';

const stalled = process.env['STALLED'] ?? '';
const handle = await open(import.meta.filename);
const files = Object.getPrototypeOf(handle);
await handle.close();

// Logs alone are written by `writev`.
const { writev } = files;
files.writev = async function (...args) {
  while (existsSync(stalled)) await pause(20);
  return writev.apply(this, args);
};

await serveWrapped({});
