import type { Finding } from './checkers.ts';
import { SECRETS } from './scenario.ts';

/** Texts that hold what nothing may hold. */
export function findSecrets(texts: readonly string[], where: string): Finding[] {
  const found = texts.filter((text) => Object.values(SECRETS).some((secret) => text.includes(secret)));
  return found.map((text) => ({ kind: 'secret', what: `${where} holds a secret: ${text.slice(0, 200)}` }));
}
