import type { AuthSpec } from '../core/auth.ts';
import type { WebhookSourceSpec } from '../core/config.ts';
import type { JsonObject } from '../core/json.ts';
import { letsInAnyone } from './open-doors.ts';
import type { PathSegment } from './positions.ts';
import type { Report } from './problems.ts';

const INSTEAD =
  'use oidc for some callers, bearer, basic, gitlab, clientCertificate or addresses of your own';

/**
 * A body becomes a file only for callers who are known before a byte of it is read: else any stranger could fill the
 * disk. `source` is as written.
 */
export function checkBodyFile(
  source: JsonObject,
  { auth, bodyFile }: Pick<WebhookSourceSpec, 'auth' | 'bodyFile'>,
  path: readonly PathSegment[],
  report: Report,
): void {
  if (bodyFile === undefined) {
    if (source['maxBody'] === undefined) return;
    const fix = 'add "body: file", or raise server.maxBody for the bodies of all calls';
    report.add([...path, 'maxBody'], `counts only where bodies become files: ${fix}`);
    return;
  }
  const problem = authProblem(auth);
  if (problem !== undefined) report.add([...path, 'body'], `${problem}: ${INSTEAD}`);
  for (const other of ['format', 'challenge']) {
    if (source[other] === undefined) continue;
    const why = `cannot stand beside "body: file": it reads what is in the body, which is a file here`;
    report.add([...path, other], why);
  }
}

function authProblem(auth: AuthSpec): string | undefined {
  if (auth === 'none') return 'cannot be a file with "auth: none", as any stranger could fill the disk';
  const callers = 'anyOf' in auth ? auth.anyOf : [auth];
  if (callers.some((caller) => 'hmac' in caller))
    return 'cannot be a file with "hmac", as the signature is over a body that nobody has before it is on the disk';
  const everyone = letsInAnyone(auth);
  return everyone === undefined ? undefined : `cannot be a file with ${everyone}, as that lets in anyone`;
}
