import type { Json, JsonObject } from '../../src/core/json.ts';
import { decodeText } from './json.ts';
import { reject, type Result } from './problem.ts';

const MAX_FORM_FIELDS = 1000;
/** Files that are read as text: a job gets them without decoding anything. */
const TEXT = /^(?:text\/|application\/(?:[^;]+\+)?(?:json|xml)(?:;|$))/i;

/** Names to values; a name that comes again gets a list. */
class Fields {
  readonly #fields = new Map<string, Json>();
  #count = 0;

  /** false: there are too many. */
  add(name: string, value: Json): boolean {
    const before = this.#fields.get(name);
    if (before === undefined) this.#fields.set(name, value);
    else if (Array.isArray(before)) before.push(value);
    else this.#fields.set(name, [before, value]);
    return ++this.#count <= MAX_FORM_FIELDS;
  }

  object(): JsonObject {
    return Object.fromEntries(this.#fields);
  }
}

const TOO_MANY = reject(400, `The form has more than ${MAX_FORM_FIELDS} fields.`);

export function decodeForm(body: Uint8Array): Result<JsonObject> {
  const text = decodeText(body);
  if (!text.ok) return text;
  const fields = new Fields();
  for (const [name, value] of new URLSearchParams(text.value)) {
    if (!fields.add(name, value)) return TOO_MANY;
  }
  return { ok: true, value: fields.object() };
}

/**
 * A multipart form: a text is a text, a file is `{ name, type, size }` and its content, as `text` where its type says
 * that it is one, else as `base64`. `contentType`: the whole header, which holds the boundary.
 */
export async function decodeMultipart(body: Uint8Array, contentType: string): Promise<Result<JsonObject>> {
  let form: FormData;
  try {
    form = await new Response(Buffer.from(body), { headers: { 'content-type': contentType } }).formData();
  } catch {
    return reject(400, 'The body is not a multipart form with the boundary that its content-type names.');
  }
  const fields = new Fields();
  for (const [name, value] of form) {
    const field = typeof value === 'string' ? value : await fileField(value);
    if (!fields.add(name, field)) return TOO_MANY;
  }
  return { ok: true, value: fields.object() };
}

async function fileField(file: File): Promise<JsonObject> {
  const bytes = Buffer.from(await file.arrayBuffer());
  const { name, type, size } = file;
  return { name, type, size, ...contentOf(bytes, type) };
}

/** Text where its type says so, and it is one. */
export function contentOf(bytes: Uint8Array, type: string): { text: string } | { base64: string } {
  const text = TEXT.test(type) ? decodeText(bytes) : undefined;
  return text?.ok === true ? { text: text.value } : { base64: Buffer.from(bytes).toString('base64') };
}
