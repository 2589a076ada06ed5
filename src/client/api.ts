/** What users of the client name: the shapes of the API and the errors. One door, so that they need no other. */
export type * from '../core/api.ts';
export { errorText, isTappetError, TappetError } from '../core/errors.ts';
export type { ErrorCode } from '../core/errors.ts';
export type { Fetch } from '../core/fetch.ts';
export type { Json, JsonObject } from '../core/json.ts';
export { gapText } from '../core/log-gap.ts';
export type { LogStream } from '../core/log-sink.ts';
export { SEVERITIES } from '../core/severity.ts';
export type { Severity } from '../core/severity.ts';
export type { ExecutionState } from '../core/states.ts';
