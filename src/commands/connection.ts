import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from '../client/client.ts';
import type { Client } from '../client/client.ts';
import { errorText, TappetError } from '../client/api.ts';
import { addressPath, isAlive, parseAddress } from '../lib/gateway-address.ts';
import { hasCode } from '../lib/has-code.ts';
import { configuredDataDir } from './configured-data-dir.ts';
import type { CliIo } from './io.ts';

export interface ConnectionOptions {
  readonly url?: string;
  readonly token?: string;
  readonly dataDir?: string;
}

/** Of --data-dir, TAPPET_DATA_DIR or the configuration. */
export async function dataDirOf(io: CliIo, options: ConnectionOptions): Promise<string> {
  return options.dataDir ?? setting(io, 'TAPPET_DATA_DIR') ?? (await configuredDataDir(io));
}

/**
 * A client for the gateway that the flags name, or else TAPPET_URL and TAPPET_TOKEN, or else the data folder of one
 * on this machine. Errors: GATEWAY_UNREACHABLE where none is named anywhere.
 */
export async function connect(io: CliIo, options: ConnectionOptions): Promise<Client> {
  const folder = await dataDirOf(io, options);
  const named = options.url ?? setting(io, 'TAPPET_URL');
  const url = named ?? (await urlOf(folder));
  const token = options.token ?? setting(io, 'TAPPET_TOKEN') ?? (await tokenFor(url, named, folder));
  return createClient({ url, token, fetch: io.fetch, pause: io.pause, signal: io.signal });
}

/** An empty variable counts as absent, as it does for most tools. */
export function setting(io: CliIo, name: string): string | undefined {
  const value = io.env[name];
  return value === undefined || value === '' ? undefined : value;
}

async function urlOf(folder: string): Promise<string> {
  const path = addressPath(folder);
  const text = await readIfThere(path);
  if (text === undefined) {
    throw new TappetError(
      'GATEWAY_UNREACHABLE',
      `No gateway is named by --url or TAPPET_URL, and none has left its address in the data folder ${folder}.`,
      { fix: 'Start one with `tappet serve`, or name its data folder with --data-dir.' },
    );
  }
  const address = parseAddress(text);
  if (address === undefined) {
    throw new TappetError('GATEWAY_UNREACHABLE', `${path} does not say where the gateway listens.`, {
      fix: 'Start `tappet serve` again, or use --url.',
    });
  }
  if (await isAlive(address)) return address.url;
  throw new TappetError('GATEWAY_UNREACHABLE', `The gateway that wrote ${path} has ended.`, {
    fix: 'Start it again with `tappet serve`; if it runs in a container or as another user, use --url and --token.',
  });
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
    if (hasCode(error, 'ENOENT')) return undefined;
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
