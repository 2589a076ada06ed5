import { fieldsOf, IDENTITY_FIELDS, sharedClaims } from '../auth/identity.ts';
import type { IdentitySpec, Preset } from '../core/auth.ts';
import type { Json, JsonObject } from '../core/json.ts';
import { pathsRead } from '../expr/expressions.ts';
import type { CompileContext } from './context.ts';
import { checkName, compileCondition } from './context.ts';
import type { PathSegment } from './positions.ts';
import type { Report } from './problems.ts';
import { textOf } from './raw.ts';

type Path = readonly PathSegment[];

type Field = keyof IdentitySpec;
/** What `require` says of who calls; `broken` has been told of. */
type Says = 'somebody' | 'somebody unverified' | 'nobody' | 'broken';

/** What the schema cannot know of `oidc`: whether the issuer is there, and whether its tokens say who calls. */
export function checkOidc(oidc: JsonObject, path: Path, context: CompileContext): void {
  const { report } = context;
  const issuer = textOf(oidc['issuer']);
  if (issuer !== undefined && issuer !== '')
    checkName(issuer, context.issuerNames, [...path, 'issuer'], ['issuer', ' under "issuers"'], context);
  const preset = context.issuerPresets.get(issuer ?? '');
  const fields = Object.keys(IDENTITY_FIELDS)
    .filter(isField)
    .filter((field) => oidc[field] !== undefined);
  if (preset !== undefined) checkOffered(fields, preset, path, report);
  const says = checkRequire(oidc['require'], preset ?? 'generic', [...path, 'require'], context);
  if (oidc['anyone'] === true) checkAlone(oidc, fields, path, report);
  else if (!fields.some((field) => IDENTITY_FIELDS[field].identifies))
    reportNobody(
      { required: oidc['require'] !== undefined, says, fields, preset: preset ?? 'generic' },
      path,
      report,
    );
}

const isField = (name: string): name is Field => Object.hasOwn(IDENTITY_FIELDS, name);

function checkOffered(fields: readonly Field[], preset: Preset, path: Path, report: Report): void {
  for (const field of fields) {
    const { presets } = IDENTITY_FIELDS[field];
    if (presets.includes(preset)) continue;
    const whose = `is for issuers with the preset ${presets.join(' or ')}; this one is ${preset}`;
    report.addKey([...path, field], whose);
  }
}

function checkAlone(oidc: JsonObject, fields: readonly Field[], path: Path, report: Report): void {
  const [other] = [...fields, ...(oidc['require'] === undefined ? [] : ['require'])];
  if (other === undefined) return;
  const message = `lets anyone in, so that "${other}" would say nothing: leave one of them out`;
  report.addKey([...path, 'anyone'], message);
}

function checkRequire(require: Json | undefined, preset: Preset, path: Path, context: CompileContext): Says {
  if (require === undefined) return 'nobody';
  const text = textOf(require);
  if (text === undefined || compileCondition(context, text, ['claims'], path) === null) return 'broken';
  const read = new Set<unknown>(
    pathsRead(text)
      .filter(({ root, tested }) => root === 'claims' && !tested)
      .flatMap(({ segments }) => segments.slice(0, 1)),
  );
  const shared = sharedClaims(preset);
  const naming = [...read].filter((claim) => !shared.has(claim));
  if (naming.length === 0) return 'nobody';
  return naming.every((claim) => claim === 'email') && !read.has('email_verified')
    ? 'somebody unverified'
    : 'somebody';
}

interface Found {
  /** `require` is there. */
  readonly required: boolean;
  readonly says: Says;
  readonly fields: readonly Field[];
  readonly preset: Preset;
}

function reportNobody({ required, says, fields, preset }: Found, path: Path, report: Report): void {
  const inRequire = [...path, 'require'];
  if (says === 'somebody unverified')
    report.add(
      inRequire,
      'reads claims.email, which anyone may claim unless it was verified: list it under "emails", or add && claims.email_verified == true',
    );
  if (says !== 'nobody') return;
  const choices = fieldsOf(preset)
    .filter((field) => IDENTITY_FIELDS[field].identifies)
    .map((field) => `"${field}"`);
  const narrowed = fields.length === 0 ? '' : ` (${fields.join(', ')} alone may be anyone's)`;
  report.add(
    required ? inRequire : path,
    `must say who may call${narrowed}, by ${choices.join(', ')} or a claim in "require": anyone can get a token of this issuer; "anyone": true lets them in`,
  );
}
