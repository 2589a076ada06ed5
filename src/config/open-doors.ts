import { stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { AuthSpec, CallerSpec } from '../core/auth.ts';
import type { TriggerDefinition } from '../core/config.ts';
import { inNetworks, parseNetworks } from '../lib/addresses.ts';

const LOOPBACK = parseNetworks(['127.0.0.0/8', '::1/128']);
/** So many are named; the rest is counted. */
const NAMED = 3;

/** The words of `auth` by which a caller may be anyone at all; undefined = none. */
export function letsInAnyone(auth: AuthSpec): string | undefined {
  if (auth === 'none') return '"auth: none"';
  // What stands beside "anyOf" must hold for each of them.
  if (isNarrow(auth.addresses)) return undefined;
  const callers = 'anyOf' in auth ? auth.anyOf : [auth];
  return callers.map(wordsOf).find(Boolean);
}

function wordsOf(caller: CallerSpec): string | undefined {
  if (isNarrow(caller.addresses)) return undefined;
  if ('oidc' in caller) return caller.oidc.anyone === true ? '"anyone: true"' : undefined;
  const alone = Object.keys(caller).every((key) => key === 'addresses');
  return alone ? `"addresses: [${(caller.addresses ?? []).join(', ')}]"` : undefined;
}

/** Whether they are fewer than all there are. */
function isNarrow(addresses: readonly string[] | undefined): boolean {
  return addresses !== undefined && !addresses.some((network) => network.endsWith('/0'));
}

/** A warning where webhooks that let in anyone can be reached from other machines; undefined = there are none. */
export function openDoors(host: string, triggers: Iterable<TriggerDefinition>): string | undefined {
  if (isLoopback(host)) return undefined;
  const open: string[] = [];
  for (const { name, source } of triggers) {
    if (source.kind !== 'webhook') continue;
    const words = letsInAnyone(source.auth);
    if (words !== undefined) open.push(`${name} (${words})`);
  }
  if (open.length === 0) return undefined;
  const more = open.length > NAMED ? ` and ${open.length - NAMED} more` : '';
  const names = `${open.slice(0, NAMED).join(', ')}${more}`;
  return `whoever reaches ${host} may start jobs by ${names}: say who may call, or listen on 127.0.0.1 behind a proxy that does`;
}

const isLoopback = (host: string): boolean =>
  isIP(host) === 0 ? host.toLowerCase() === 'localhost' : inNetworks(host, LOOPBACK);

/**
 * A warning for each file or folder of the configuration that every user of the machine may change: whoever can write
 * a job can run any program with what the engine's user may do. Windows has no such bits.
 */
export async function changeableByAll(paths: Iterable<string>): Promise<string[]> {
  if (process.platform === 'win32') return [];
  const warnings: string[] = [];
  for (const path of paths) {
    // One that was replaced since it was read is looked at by the next reload.
    const info = await stat(path).catch(() => undefined);
    if (info !== undefined && (info.mode & 0o002) !== 0)
      warnings.push(
        `${path}: can be changed by every user of this machine, who could then run any program as the container engine does: chmod o-w '${path}'`,
      );
  }
  return warnings;
}
