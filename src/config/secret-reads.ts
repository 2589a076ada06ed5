import { TappetError } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import type { SecretRef, Secrets, SecretValue } from '../core/secrets.ts';
import { secretRef } from '../lib/secret-ref.ts';
import { secretWarning } from '../secrets/secret-reader.ts';
import type { CompileContext } from './context.ts';
import type { PathSegment } from './positions.ts';
import { placeText } from './problems.ts';
import { isMap } from './raw.ts';

type SecretRead =
  | { readonly ok: true; readonly value: SecretValue; readonly warning: string | undefined }
  | { readonly ok: false; readonly message: string };

/** The secrets that a configuration names, each read once: a thousand hooks may share one. */
export class SecretReads {
  readonly #secrets: Secrets;
  readonly #folder: string;
  readonly #reads = new Map<string, Promise<SecretRead>>();
  readonly #warned = new Set<string>();

  /** Paths of files start at `folder`. */
  constructor(secrets: Secrets, folder: string) {
    this.#secrets = secrets;
    this.#folder = folder;
  }

  async read(ref: SecretRef): Promise<SecretRead> {
    const key = JSON.stringify(ref);
    const known = this.#reads.get(key);
    if (known !== undefined) return known;
    const read = this.#read(ref);
    this.#reads.set(key, read);
    return read;
  }

  /** Whether nobody was told of it yet. */
  isNews(warning: string): boolean {
    if (this.#warned.has(warning)) return false;
    this.#warned.add(warning);
    return true;
  }

  async #read(ref: SecretRef): Promise<SecretRead> {
    try {
      const value = await this.#secrets.resolve(ref);
      return { ok: true, value, warning: await secretWarning(ref, this.#folder) };
    } catch (error) {
      if (!(error instanceof TappetError)) throw error;
      const fix = error.fields.fix === undefined ? '' : `: ${error.fields.fix}`;
      return { ok: false, message: `${error.message}${fix}` };
    }
  }
}

/** The value, where `ref` leads to one; where it does not, that is reported here, or by the schema where it is written wrongly. */
export async function checkSecret(
  ref: Json | undefined,
  path: readonly PathSegment[],
  { report, secrets, warnings }: CompileContext,
): Promise<SecretValue | undefined> {
  const parsed = isMap(ref) ? secretRef.safeParse(ref) : undefined;
  if (parsed?.success !== true) return undefined;
  const read = await secrets.read(parsed.data);
  if (!read.ok) {
    report.add(path, read.message);
    return undefined;
  }
  if (read.warning !== undefined && secrets.isNews(read.warning))
    warnings.push(`${placeText(report.place(path))} ${read.warning}`);
  return read.value;
}
