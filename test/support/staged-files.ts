import type { OutputFile, StagedFile } from '../../src/core/runner.ts';

/** A file with a text as its content; the body comes in two parts. */
export function fileOf(to: string, text: string, mode?: number): StagedFile {
  const bytes = Buffer.from(text);
  return { to, size: bytes.length, body: halves(bytes), ...(mode === undefined ? {} : { mode }) };
}

async function* halves(bytes: Buffer): AsyncGenerator<Uint8Array> {
  const middle = bytes.length >> 1;
  if (middle > 0) yield bytes.subarray(0, middle);
  if (bytes.length > 0) yield bytes.subarray(middle);
}

export async function* filesOf(files: readonly StagedFile[]): AsyncGenerator<StagedFile> {
  yield* files;
}

/** Path and text of each, in the order they came. */
export async function collect(files: AsyncIterable<OutputFile>): Promise<Record<string, string>> {
  const found: [string, string][] = [];
  for await (const { path, size, body } of files) {
    const parts: Uint8Array[] = [];
    for await (const part of body) parts.push(part);
    const content = Buffer.concat(parts);
    if (content.length !== size) throw new Error(`${path} has ${content.length} bytes, not ${size}`);
    found.push([path, content.toString('utf8')]);
  }
  return Object.fromEntries(found);
}

/** A tar archive, by hand: an oracle does not use the library that it judges. A name that ends with `/` is a folder. */
export function tarOf(entries: readonly (readonly [name: string, text: string])[]): Buffer {
  const parts = entries.flatMap(([name, text]) => {
    const header = Buffer.alloc(512);
    header.write(name, 0, 100);
    header.write('0000644\u00000000000\u00000000000\u0000', 100);
    header.write(`${Buffer.byteLength(text).toString(8).padStart(11, '0')}\u0000`, 124);
    header.write('00000000000\u0000        ', 136);
    header.write(name.endsWith('/') ? '5' : '0', 156);
    header.write('ustar\u000000', 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148);
    const content = Buffer.from(text);
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}
