import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from '../client/client.ts';
import type { Client } from '../client/client.ts';
import { errorText, TappetError } from '../client/api.ts';
import type { CliIo } from './io.ts';

export interface ConnectionOptions {
  readonly url?: string;
  readonly token?: string;
  readonly dataDir?: string;
}

/** Where `tappet serve` keeps its data if nobody says otherwise. */
const DEFAULT_DATA_DIR = '.tappet';

export function dataDirOf(io: CliIo, options: ConnectionOptions): string {
  return options.dataDir ?? setting(io, 'TAPPET_DATA_DIR') ?? DEFAULT_DATA_DIR;
}

/**
 * A client for the gateway that the flags name, or else TAPPET_URL and TAPPET_TOKEN, or else the data folder of one
 * on this machine. Errors: GATEWAY_UNREACHABLE where none is named anywhere.
 */
export async function connect(io: CliIo, options: ConnectionOptions): Promise<Client> {
  const folder = dataDirOf(io, options);
  const named = options.url ?? setting(io, 'TAPPET_URL');
  const url = named ?? (await urlOf(folder));
  const token = options.token ?? setting(io, 'TAPPET_TOKEN') ?? (await tokenFor(url, named, folder));
  return createClient({ url, token, fetch: io.fetch, pause: io.pause, signal: io.signal });
}

/** An empty variable counts as absent, as it does for most tools. */
function setting(io: CliIo, name: string): string | undefined {
  const value = io.env[name];
  return value === undefined || value === '' ? undefined : value;
}

async function urlOf(folder: string): Promise<string> {
  const path = join(folder, 'server.json');
  const text = await readIfThere(path);
  if (text === undefined) {
    throw new TappetError(
      'GATEWAY_UNREACHABLE',
      `No gateway is named by --url or TAPPET_URL, and none runs with the data folder ${folder}.`,
      { fix: 'Start one with `tappet serve`, or name its data folder with --data-dir.' },
    );
  }
  const url = parseUrl(text);
  if (url !== undefined) return url;
  throw new TappetError('GATEWAY_UNREACHABLE', `${path} does not say where the gateway listens.`, {
    fix: 'Start `tappet serve` again, or use --url.',
  });
}

function parseUrl(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const url = typeof value === 'object' && value !== null && 'url' in value ? value.url : undefined;
    return typeof url === 'string' ? url : undefined;
  } catch {
    return undefined;
  }
}

/** The token of this machine's gateway must not travel to whatever address somebody names. */
async function tokenFor(url: string, named: string | undefined, folder: string): Promise<string | undefined> {
  if (named !== undefined && !isLoopback(url)) return undefined;
  return (await readIfThere(join(folder, 'token')))?.trim();
}

function isLoopback(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { hostname } = new URL(url);
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new TappetError(
      'GATEWAY_UNREACHABLE',
      `Cannot read ${path}: ${errorText(error)}.`,
      {
        fix: 'Run this as the user of the gateway, or set TAPPET_URL and TAPPET_TOKEN.',
      },
      error,
    );
  }
}
