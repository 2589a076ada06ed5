import { errorText, isTappetError } from '../core/errors.ts';
import type { AttemptReason, AttemptResult } from '../core/execution.ts';
import { OUTPUT_MAX_BYTES, OUTPUT_PATH } from '../core/staging.ts';
import type { OutputsParams } from './outputs.ts';

/** What a container that ended well handed back is a part of its end; where that cannot be taken, it did not end well. Errors: SessionOver. */
export async function takeOutput(
  params: Pick<OutputsParams, 'context' | 'execution' | 'attempt' | 'holdUp'>,
  result: AttemptResult,
): Promise<AttemptResult> {
  const { output: format } = params.execution.spec;
  if (format === undefined || result.state !== 'SUCCEEDED') return result;
  const { gate, session } = params.context;
  try {
    const bytes = await params.holdUp.during('has its $TAPPET_OUTPUT read', () =>
      gate.through(() => read(params)),
    );
    if (bytes === 'folder') return failed(result, 'OUTPUT_REFUSED', 'is a folder, and not a file');
    if (bytes.length === 0) return result;
    if (bytes.length > OUTPUT_MAX_BYTES) return failed(result, 'OUTPUT_REFUSED', `is ${tooLong(bytes)}`);
    const text = textOf(bytes);
    if (text === undefined) return failed(result, 'OUTPUT_REFUSED', 'is not UTF-8 text');
    const problem = format === 'json' ? jsonProblem(text) : undefined;
    if (problem !== undefined) return failed(result, 'OUTPUT_REFUSED', `is not JSON: ${problem}`);
    return { ...result, output: text };
  } catch (error) {
    session.throwIfOver();
    if (!isTappetError(error)) throw error;
    return failed(result, 'OUTPUT_FAILED', `could not be read: ${errorText(error)}`);
  }
}

/** What is there, a part more than may be at most; the program may have removed it, or made a folder of it. */
async function read({
  context,
  attempt,
}: Pick<OutputsParams, 'context' | 'attempt'>): Promise<Buffer<ArrayBuffer> | 'folder'> {
  const { runner, session } = context;
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const file of runner.outputs(attempt().containerName, OUTPUT_PATH, session.signal)) {
    if (file.path !== '') return 'folder';
    for await (const part of file.body) {
      bytes += part.length;
      parts.push(part);
      if (bytes > OUTPUT_MAX_BYTES) return Buffer.concat(parts);
    }
  }
  return Buffer.concat(parts);
}

const tooLong = (bytes: Uint8Array): string =>
  `longer than ${OUTPUT_MAX_BYTES.toLocaleString('en')} bytes (${bytes.length.toLocaleString('en')} were read)`;

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function jsonProblem(text: string): string | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return errorText(error);
  }
}

const failed = (result: AttemptResult, reason: AttemptReason, what: string): AttemptResult => ({
  ...result,
  state: 'FAILED',
  reason,
  message: `It ended with exit code 0, but what it wrote to $TAPPET_OUTPUT ${what}.`,
});
