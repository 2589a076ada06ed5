import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { parse } from 'yaml';
import { blankJsonComments } from '../lib/json-comments.ts';
import { findConfig } from './config-path.ts';
import type { CliIo } from './io.ts';

/** Where `tappet serve` keeps its data if nobody says otherwise, beside its configuration. */
const DEFAULT_DATA_DIR = '.tappet';

/**
 * The data folder of a gateway that runs with the configuration which TAPPET_CONFIG names or which is in this
 * folder. Read without checks: a mistake in it must not keep anybody from stopping a job.
 */
export async function configuredDataDir(io: CliIo): Promise<string> {
  const path = await findConfig(io, undefined);
  if (path === undefined) return DEFAULT_DATA_DIR;
  const isFolder = await stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
  const folder = isFolder ? path : dirname(path);
  let dataDir = DEFAULT_DATA_DIR;
  for (const file of isFolder ? await filesOf(path) : [path]) dataDir = (await dataDirIn(file)) ?? dataDir;
  return isAbsolute(dataDir) ? dataDir : join(folder, dataDir);
}

async function filesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => /^[^.].*\.(json|ya?ml)$/i.test(name)).map((name) => join(folder, name));
}

async function dataDirIn(file: string): Promise<string | undefined> {
  try {
    const text = await readFile(file, 'utf8');
    const value: unknown = parse(file.endsWith('.json') ? blankJsonComments(text) : text, {
      logLevel: 'silent',
    });
    const server =
      typeof value === 'object' && value !== null && 'server' in value ? value.server : undefined;
    const found =
      typeof server === 'object' && server !== null && 'dataDir' in server ? server.dataDir : null;
    return typeof found === 'string' && found !== '' ? found : undefined;
  } catch {
    return undefined;
  }
}
