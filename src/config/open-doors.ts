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

/** Webhooks that let in anyone where other machines reach them, and the words of `auth` by which they do. */
export function openDoors(host: string, triggers: Iterable<TriggerDefinition>): Map<string, string> {
  const open = new Map<string, string>();
  if (isLoopback(host)) return open;
  for (const { name, source } of triggers) {
    const words = source.kind === 'webhook' ? letsInAnyone(source.auth) : undefined;
    if (words !== undefined) open.set(name, words);
  }
  return open;
}

/** Where the configuration does not say that it is meant to be so. */
export const doorProblem = (host: string, words: string): string =>
  `lets in anyone (${words}), and other machines reach ${host}: say who may call, listen on 127.0.0.1 behind a proxy that does, or set server.allowAnonymous to true`;

/** Where it does. */
export function doorWarning(host: string, open: ReadonlyMap<string, string>): string {
  const named = [...open].slice(0, NAMED).map(([name, words]) => `${name} (${words})`);
  const more = open.size > NAMED ? ` and ${open.size - NAMED} more` : '';
  return `whoever reaches ${host} may start jobs by ${named.join(', ')}${more}, as server.allowAnonymous says`;
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
