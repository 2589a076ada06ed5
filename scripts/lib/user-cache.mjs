// @ts-check
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { onPath } from './run.mjs';

/** Outside the clone: what takes minutes to build or fetch is there for every checkout of this user. */
export function cacheDir(/** @type {string} */ name, env = process.env) {
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'tappet', name);
}

/** @param {string} path a name without a slash is looked for on the PATH */
export function isExecutable(path) {
  if (!path.includes('/')) return onPath(path);
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
