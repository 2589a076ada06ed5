import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { errorText } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { ConnectionSpec } from '../core/objects.ts';
import { s3ConnectionSchema } from '../objects/config.ts';
import type { CompileContext } from './context.ts';
import { parsePart } from './context.ts';
import { mapOf, textOf } from './raw.ts';
import { checkSecret } from './secret-reads.ts';

/** The connection under `name`, or undefined where it has errors, which are reported. */
export async function compileConnection(
  name: string,
  value: JsonObject,
  context: CompileContext,
): Promise<ConnectionSpec | undefined> {
  const path = ['connections', name];
  const input = parsePart(s3ConnectionSchema, value, path, context.report);
  for (const key of ['accessKeyId', 'secretAccessKey', 'sessionToken'])
    await checkSecret(value[key], [...path, key], context);
  const { token } = mapOf(value['notifications']);
  await checkSecret(token, [...path, 'notifications', 'token'], context);
  const written = textOf(value['ca']) ?? '';
  const ca = resolve(context.folder, written);
  if (written !== '') {
    const problem = await certificateProblem(ca);
    if (problem !== undefined) context.report.add([...path, 'ca'], `"${ca}" ${problem}`);
  }
  return input?.ca === undefined ? input : { ...input, ca };
}

/** What is wrong with a file of certificates, to be read after its path. */
async function certificateProblem(file: string): Promise<string | undefined> {
  try {
    // Reading a pipe or a device may never end.
    if (!(await stat(file)).isFile()) return 'is not a file: name one with certificates in PEM';
    const text = await readFile(file, 'utf8');
    return isCertificate(text) ? undefined : 'holds no certificate in PEM ("-----BEGIN CERTIFICATE-----")';
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return 'does not exist: name a file with certificates in PEM';
    if (code === 'EACCES') return 'may not be read by this user';
    return `cannot be read (${errorText(error)})`;
  }
}

function isCertificate(text: string): boolean {
  try {
    return text.includes('-----BEGIN CERTIFICATE-----') && new X509Certificate(text).raw.length > 0;
  } catch {
    return false;
  }
}
