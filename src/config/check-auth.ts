import type { JsonObject } from '../core/json.ts';
import { pathsRead } from '../expr/expressions.ts';
import type { CompileContext } from './context.ts';
import { checkName, compileCondition } from './context.ts';
import type { PathSegment } from './positions.ts';
import { mapOf, textOf } from './raw.ts';
import { checkSecret } from './secret-reads.ts';

type Path = readonly PathSegment[];

/** Claims that every token of an issuer has, whoever it is made for: they say nothing about who calls. */
const TECHNICAL_CLAIMS = new Set<unknown>([
  'iss',
  'aud',
  'exp',
  'iat',
  'nbf',
  'jti',
  'auth_time',
  'nonce',
  'email_verified',
]);

/** What the schema cannot know of a webhook's `auth`: names, expressions, secrets. */
export async function checkAuth(auth: JsonObject, path: Path, context: CompileContext): Promise<void> {
  const [form, ...others] = Object.keys(auth);
  // Which of two forms is meant is not known.
  if (form === undefined || others.length > 0) return;
  const fields = mapOf(auth[form]);
  if (form === 'hmac') await checkSecret(fields['secret'], [...path, 'hmac', 'secret'], context);
  if (form === 'bearer') await checkSecret(fields['token'], [...path, 'bearer', 'token'], context);
  if (form === 'oidc') checkOidc(fields, [...path, 'oidc'], context);
}

function checkOidc(oidc: JsonObject, path: Path, context: CompileContext): void {
  const issuer = textOf(oidc['issuer']);
  if (issuer !== undefined && issuer !== '')
    checkName(issuer, context.issuerNames, [...path, 'issuer'], ['issuer', ' under "issuers"'], context);
  const require = textOf(oidc['require']);
  const at = [...path, 'require'];
  if (require === undefined || compileCondition(context, require, ['claims'], at) === null) return;
  const identifies = pathsRead(require).some(
    ({ root, tested, segments }) =>
      root === 'claims' && !tested && segments.length > 0 && !TECHNICAL_CLAIMS.has(segments[0]),
  );
  if (!identifies) {
    context.report.add(
      at,
      `must say who may call, by a claim such as claims.email or claims.sub: anyone can get a token of this issuer`,
    );
  }
}
