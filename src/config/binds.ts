import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, posix, sep } from 'node:path';
import type { Bind } from '../core/job.ts';

/** Whoever reaches one of these can start containers as root: the host is theirs. */
const ENGINE_SOCKETS = [
  '/var/run/docker.sock',
  '/run/docker.sock',
  '/run/podman/podman.sock',
  '/run/containerd/containerd.sock',
];

export interface BindRules {
  /** Resolved. */
  readonly allowed: readonly string[];
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export type BindResult =
  | { readonly ok: true; readonly bind: Bind }
  | { readonly ok: false; readonly message: string };

/** A bind with its links resolved, where the rules allow it: judged is where a path leads, not what it is called. */
export function checkBind(
  bind: { bind: string; to: string; readOnly: boolean },
  rules: BindRules,
): BindResult {
  if (!isAbsolute(bind.bind)) return refuse(`"${bind.bind}" must be an absolute path of the host`);
  const from = resolveLinks(bind.bind);
  const shown = from === bind.bind ? `"${from}"` : `"${bind.bind}" (which is ${from})`;
  if (isSocket(from) || engineSockets(rules.env).some((socket) => isWithin(socket, from))) {
    return refuse(`${shown} holds the engine's socket or is a socket: with it a container owns this machine`);
  }
  const dataDir = resolveLinks(rules.dataDir);
  if (isWithin(dataDir, from) || isWithin(from, dataDir))
    return refuse(`${shown} holds the gateway's own data`);
  if (!rules.allowed.some((folder) => isWithin(from, folder))) {
    const folders = rules.allowed.length === 0 ? 'it is empty' : `it has ${rules.allowed.join(', ')}`;
    return refuse(`${shown} is not below a folder of server.allowedBinds (${folders})`);
  }
  return { ok: true, bind: { from, to: posix.normalize(bind.to), readOnly: bind.readOnly } };
}

const refuse = (message: string): BindResult => ({ ok: false, message });

/** The path without links and dots; of what does not exist yet, the part that does. */
export function resolveLinks(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(resolveLinks(parent), basename(path));
  }
}

/** Whether `path` is `folder` or below it. Both absolute, without dots. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function isSocket(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
}

function engineSockets(env: BindRules['env']): string[] {
  const found = [...ENGINE_SOCKETS];
  const host = env['DOCKER_HOST'];
  if (host?.startsWith('unix://') === true) found.push(host.slice('unix://'.length));
  const runtime = env['XDG_RUNTIME_DIR'];
  if (runtime !== undefined) found.push(join(runtime, 'docker.sock'), join(runtime, 'podman', 'podman.sock'));
  // Under their names and where they lead: /var/run is a link on most systems.
  return found.flatMap((socket) => [socket, resolveLinks(socket)]);
}
