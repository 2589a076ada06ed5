import { randomUUID } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { processStart } from './process-start.ts';
import { hasCode } from './has-code.ts';

/** What a gateway writes about itself into `server.json` in its data folder: where the command line looks. */
export interface GatewayAddress {
  readonly url: string;
  readonly pid: number;
  /** As `processStart`; null where the system does not tell. */
  readonly started: string | null;
}

export const addressPath = (dataDir: string): string => join(dataDir, 'server.json');

/** The address of this process. */
export async function ownAddress(url: string): Promise<GatewayAddress> {
  return { url, pid: process.pid, started: await processStart(process.pid) };
}

/** undefined where the text is none. */
export function parseAddress(text: string): GatewayAddress | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const { url, pid, started } = value as Partial<Record<keyof GatewayAddress, unknown>>;
    if (typeof url !== 'string' || typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 0)
      return undefined;
    return { url, pid, started: typeof started === 'string' ? started : null };
  } catch {
    return undefined;
  }
}

/** After a crash another program may hold the port, and must not be sent the token. */
export async function isAlive({ pid, started }: GatewayAddress): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    // Nobody, or a process of another user, who would get our number only after the gateway's end.
    return false;
  }
  return started === null || started === (await processStart(pid));
}

/**
 * Writes `own`, readable for its owner alone. Where the file names a gateway that lives, it stays as it is, and that
 * gateway is the answer. Errors: the file system's own.
 */
export async function publishAddress(
  dataDir: string,
  own: GatewayAddress,
): Promise<GatewayAddress | undefined> {
  const path = addressPath(dataDir);
  const text = await readIfThere(path);
  if (text !== undefined) {
    const holder = parseAddress(text);
    if (holder !== undefined && (await isAlive(holder))) return holder;
    // What a crash left.
    await rm(path, { force: true });
  }
  // Linked into place when whole, so that nobody reads half of it, or takes it for what a crash left.
  const draft = `${path}.${randomUUID()}.new`;
  try {
    await writeFile(draft, `${JSON.stringify(own)}\n`, { mode: 0o600, flag: 'wx' });
    await link(draft, path);
    return undefined;
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    // Another was faster.
    return await publishAddress(dataDir, own);
  } finally {
    await rm(draft, { force: true });
  }
}

/** Removes what `publishAddress` wrote, and nothing that another gateway wrote. */
export async function withdrawAddress(dataDir: string, own: GatewayAddress): Promise<void> {
  const path = addressPath(dataDir);
  const holder = parseAddress((await readIfThere(path)) ?? '');
  if (holder?.pid === own.pid && holder.started === own.started && holder.url === own.url) await rm(path);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
