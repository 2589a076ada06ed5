import { access } from 'node:fs/promises';
import { TappetError } from '../client/api.ts';
import type { CliIo } from './io.ts';

const NAMES = [
  'tappet.json',
  'tappet.yaml',
  'tappet.yml',
  'config.json',
  'config.yaml',
  'config.yml',
] as const;

/** The configuration that `-c` or TAPPET_CONFIG names, else the first known name in this folder that is there. */
export async function findConfig(io: CliIo, named: string | undefined): Promise<string | undefined> {
  const path = named ?? io.env['TAPPET_CONFIG'];
  if (path !== undefined && path !== '') return path;
  for (const name of NAMES) {
    if (await exists(name)) return name;
  }
  return undefined;
}

/** Errors: CONFIG_INVALID where none is named and none is there. */
export async function configPath(io: CliIo, named: string | undefined): Promise<string> {
  const path = await findConfig(io, named);
  if (path !== undefined) return path;
  throw new TappetError(
    'CONFIG_INVALID',
    `There is no configuration here (looked for ${NAMES.join(', ')}).`,
    {
      fix: 'Name one with -c, or start from config.example.json.',
    },
  );
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
