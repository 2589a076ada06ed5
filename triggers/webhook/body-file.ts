import type { ReceivedBody } from '../../src/core/bodies.ts';
import { TappetError } from '../../src/core/errors.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { mediaType } from './media-type.ts';
import { problemResponse, reject, type Rejection } from './problem.ts';

const MAX_NAME_LENGTH = 255;
// oxlint-disable-next-line no-control-regex
const NOT_PRINTABLE = /[\u0000-\u001f\u007f-\u009f]/;

/** Stands where the real one is not known yet. */
export const NO_FILE: JsonObject = { body: {} };

/** The `data` of an event whose body is a file, in the words of a form's files; it says nothing of where that is. */
export function fileData(
  headers: Headers,
  { size, sha256 }: Pick<ReceivedBody, 'size' | 'sha256'>,
): JsonObject {
  const type = headers.get('content-type');
  const name = fileName(headers.get('content-disposition') ?? '');
  return {
    body: {
      ...(name === undefined ? {} : { name }),
      ...(type === null ? {} : { type }),
      size,
      sha256,
    },
  };
}

/** What wraps the file in something else would have to be unwrapped by the job. */
export function fileProblem(headers: Headers): Rejection | undefined {
  const { essence } = mediaType(headers.get('content-type') ?? '');
  if (essence !== 'multipart/form-data' && !essence.startsWith('application/cloudevents')) return undefined;
  const what = 'The body of a call is kept as a file here, just as it is sent';
  return reject(
    415,
    `${what}: send the file itself as the body (curl -X POST -T <file>), not ${essence}.`,
    'content-type',
  );
}

export const tooManyBodies = (count: number): TappetError =>
  new TappetError(
    'STORE_UNAVAILABLE',
    `${count} bodies of this trigger are being written to files. Send the same again later.`,
    { retryAfter: 5 },
  );

/** Its sender is known, and so hears what is wrong and what to do: not as where anyone may call. */
export function refusedFile(error: TappetError): Response {
  const { fix, retryAfter = 1 } = error.fields;
  const words = fix === undefined ? {} : { fix };
  if (error.code === 'PAYLOAD_TOO_LARGE') return problemResponse({ ...reject(413, error.message), ...words });
  if (error.code === 'INVALID_ARGUMENT') return problemResponse({ ...reject(400, error.message), ...words });
  return problemResponse({ ...reject(503, error.message), ...words }, { 'retry-after': String(retryAfter) });
}

/** Of RFC 6266 what senders write most: `attachment; filename="a.mp4"`. Never a path. */
function fileName(disposition: string): string | undefined {
  const [, quoted, bare] = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";]+))/i.exec(disposition) ?? [];
  const name = (quoted?.replace(/\\(.)/g, '$1') ?? bare)?.split(/[/\\]/).at(-1);
  if (name === undefined || name === '' || name === '.' || name === '..') return undefined;
  return name.length > MAX_NAME_LENGTH || NOT_PRINTABLE.test(name) ? undefined : name;
}
