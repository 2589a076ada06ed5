import { TappetError } from './errors.ts';

/** A sender used the id of an earlier event for something else. */
export function idReused(id: string): TappetError {
  return new TappetError(
    'ID_REUSED',
    `The id ${JSON.stringify(id)} came before with other data, and an id stands for one event. Nothing was stored.`,
    { path: 'id', fix: 'Send new data under a new id; to repeat a call, send what was sent before.' },
  );
}
