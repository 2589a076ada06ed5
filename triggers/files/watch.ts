import { realpath } from 'node:fs/promises';
import { relative, join } from 'node:path';
import { watch } from 'chokidar';
import type { FileFilter } from './glob.ts';

/** Hears that something may have happened; paths are relative to the watched folder, '' is that folder itself. */
export interface Hints {
  file(path: string): void;
  /** Came to be, or all that is known is that something happened in it. */
  folder(path: string): void;
  failed(error: unknown): void;
}
/** Stops hearing. Idempotent. */
export type StopWatching = () => Promise<void>;
export type Watch = (root: string, filter: FileFilter, hints: Hints) => Promise<StopWatching>;

/**
 * The system's own notices. Only folders are watched: that tells of the files in them as well, and a watch for each
 * file would reach the system's limit with some ten thousand of them. Of chokidar this takes the raw notices and its
 * finding of new folders; its idea of what was added or changed is its own memory, and no truth here.
 */
export const watchFolder: Watch = async (root, filter, hints) => {
  const real = await realpath(root);
  const watcher = watch(real, {
    ignored: (path, stats) =>
      stats !== undefined && !(stats.isDirectory() && filter.mayHold(relative(real, path))),
    followSymlinks: false,
    ignoreInitial: true,
    ignorePermissionErrors: true,
    atomic: false,
  });
  watcher.on('raw', (_event, name, details: unknown) => {
    const folder = watchedPath(details);
    if (folder === undefined) hints.folder('');
    else if (typeof name !== 'string') hints.folder(relative(real, folder));
    else {
      const path = relative(real, join(folder, name));
      if (filter.matches(path)) hints.file(path);
    }
  });
  watcher.on('addDir', (path) => hints.folder(relative(real, path)));
  watcher.on('unlinkDir', (path) => {
    if (relative(real, path) === '') hints.folder('');
  });
  // What came between the first scan and the last watch was told to nobody.
  watcher.on('ready', () => hints.folder(''));
  watcher.on('error', (error) => hints.failed(error));
  return () => watcher.close();
};

function watchedPath(details: unknown): string | undefined {
  if (typeof details !== 'object' || details === null || !('watchedPath' in details)) return undefined;
  return typeof details.watchedPath === 'string' ? details.watchedPath : undefined;
}
