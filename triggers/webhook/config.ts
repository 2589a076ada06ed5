import { z } from 'zod';
import { strictObject } from '../../src/lib/strict-object.ts';
import { answerFields } from './answer-config.ts';
import { auth } from './auth-config.ts';
import { callFields, withoutAbsent } from './call-fields.ts';

const DEFAULT_MAX_BODY = 1024 ** 3;

/** `source` of a trigger of kind `webhook`. */
export const schema = strictObject({ kind: z.literal('webhook'), auth, ...callFields, ...answerFields })
  .transform(({ kind, auth: by, rememberFor: rememberMs, answer, body, maxBody, ...rest }) => ({
    kind,
    auth: by,
    rememberMs,
    ...(body === undefined ? {} : { bodyFile: { maxBytes: maxBody ?? DEFAULT_MAX_BODY } }),
    ...withoutAbsent({ ...rest, answer: answer && withoutAbsent(answerOf(answer)) }),
  }))
  .describe('Takes calls at /hooks/<name of the trigger>.');

const answerOf = ({ wait: waitMs, ...rest }: { wait?: number | undefined } & object) => ({ waitMs, ...rest });
