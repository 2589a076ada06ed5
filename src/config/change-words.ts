import type { ServerSettings } from '../core/config.ts';
import type { ConfigChanges, NameChanges } from './diff.ts';

/** More names than this are counted. */
const MAX_NAMES = 20;

/** As they are written. */
const SETTINGS: Readonly<Record<keyof ServerSettings, string>> = {
  host: 'host',
  port: 'port',
  dataDir: 'dataDir',
  maxBodyBytes: 'maxBody',
  allowAnonymous: 'allowAnonymous',
  rateLimit: 'rateLimit',
  trustedProxies: 'trustedProxies',
  maxRunningTasks: 'maxRunningTasks',
  admission: 'admission',
  limits: 'limits',
  allowedBinds: 'allowedBinds',
  eventRetentionMs: 'eventRetention',
  engine: 'engine',
  pulls: 'pulls',
  registries: 'registries',
  allowedImages: 'allowedImages',
  imagePrune: 'imagePrune',
  notify: 'notify',
};

export const settingName = (key: keyof ServerSettings): string => `server.${SETTINGS[key]}`;

/** What changed, a line per kind, for the log; none where nothing did. */
export function changeLines(changes: ConfigChanges): string[] {
  const { server } = changes;
  const kinds = (['issuers', 'connections', 'notifications', 'jobs', 'triggers'] as const).flatMap((kind) => {
    const words = nameWords(changes[kind]);
    return words === '' ? [] : `${kind} ${words}`;
  });
  return server.length === 0 ? kinds : [`settings changed: ${server.map(settingName).join(', ')}`, ...kinds];
}

function nameWords({ added, changed, removed }: NameChanges): string {
  const parts = { added, changed, removed };
  return Object.entries(parts)
    .flatMap(([word, names]) => (names.length === 0 ? [] : `${word}: ${listed(names)}`))
    .join('; ');
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMES).join(', ');
  return names.length > MAX_NAMES ? `${shown} and ${names.length - MAX_NAMES} more` : shown;
}
