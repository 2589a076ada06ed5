import type { JsonObject } from '../core/json.ts';
import { parseStrictObject } from './strict-json.ts';

/** Node takes headers of 16 KiB in all; no issuer's token comes near half of that. */
export const MAX_TOKEN_BYTES = 8 * 1024;
/** RFC 9068 and RFC 7519; compared without case, as media types are. */
const TYPES: ReadonlySet<string> = new Set(['jwt', 'at+jwt', 'application/at+jwt']);

/** A compact JWS in its parts; nothing of it is verified yet. */
export interface ParsedJws {
  readonly alg: string;
  readonly kid: string | undefined;
  readonly payload: Uint8Array;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}
export interface ParsedToken extends Omit<ParsedJws, 'payload'> {
  readonly payload: JsonObject;
}
type Refusal = { readonly ok: false; readonly reason: string };
export type ParseResult = { readonly ok: true; readonly token: ParsedToken } | Refusal;

const refuse = (reason: string): Refusal => ({ ok: false, reason });

/** A token whose payload is a strict JSON object; otherwise as `parseJws`. */
export function parseToken(token: string, algorithms: ReadonlySet<string>): ParseResult {
  const parsed = parseJws(token, algorithms);
  if (!parsed.ok) return parsed;
  const payload = parseStrictObject(parsed.jws.payload);
  if (payload === undefined) return refuse("the token's payload is not a strict JSON object");
  return { ok: true, token: { ...parsed.jws, payload } };
}

/**
 * Takes a compact JWS apart and checks its form and its header; nothing in the result is verified yet. Refuses what
 * lenient decoders let pass: padding, whitespace, stray bits at a part's end, members twice, `crit`, other `typ`.
 */
export function parseJws(
  token: string,
  algorithms: ReadonlySet<string>,
): { readonly ok: true; readonly jws: ParsedJws } | Refusal {
  if (token.length > MAX_TOKEN_BYTES) return refuse(`the token is longer than ${MAX_TOKEN_BYTES} bytes`);
  const parts = token.split('.', 4);
  const [header, payload, signature] = parts.map(decodePart);
  if (parts.length !== 3 || header === undefined || payload === undefined || signature === undefined) {
    return refuse('the token is not a compact JWS of three base64url parts');
  }
  const head = parseStrictObject(header);
  if (head === undefined) return refuse("the token's header is not a strict JSON object");
  const alg = head['alg'];
  // Before anything else of the header counts: the issuer's list decides, to the letter.
  if (typeof alg !== 'string' || !algorithms.has(alg))
    return refuse("the token's alg is not one of the issuer's");
  const complaint = checkHeader(head);
  if (complaint !== undefined) return refuse(complaint);
  const kid = head['kid'] as string | undefined;
  const signed = Buffer.from(token.slice(0, token.lastIndexOf('.')), 'latin1');
  return { ok: true, jws: { alg, kid, payload, signed, signature } };
}

function checkHeader(header: JsonObject): string | undefined {
  const { typ, kid } = header as { typ?: unknown; kid?: unknown };
  if (typ !== undefined && !(typeof typ === 'string' && TYPES.has(typ.toLowerCase()))) {
    return "the token's typ is neither JWT nor at+jwt";
  }
  if (kid !== undefined && typeof kid !== 'string') return "the token's kid is not a string";
  // We know no extension, so whatever `crit` names is one that we would ignore. b64 (RFC 7797) needs crit.
  if ('crit' in header || 'b64' in header) return "the token's header demands extensions (crit, b64)";
  return undefined;
}

/** base64url without padding, in the one spelling that encoding the bytes again gives; not empty. */
function decodePart(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.length > 0 && bytes.toString('base64url') === part ? bytes : undefined;
}
