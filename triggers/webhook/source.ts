import type { Verify, VerifyResult } from '../../src/core/auth.ts';
import type { Bodies, ReceivedBody } from '../../src/core/bodies.ts';
import type { AnswerTemplates, WebhookSourceSpec } from '../../src/core/config.ts';
import { errorText, isTappetError, type ErrorCode, type TappetError } from '../../src/core/errors.ts';
import type { NewEvent } from '../../src/core/event.ts';
import type { Template } from '../../src/core/expression.ts';
import type { Json } from '../../src/core/json.ts';
import type { ManualEvent, RequestInfo, Source, SourceContext } from '../../src/core/source.ts';
import type { RoutedResult } from '../../src/core/store.ts';
import { TokenBuckets } from '../../src/lib/token-buckets.ts';
import { Answering } from './answering.ts';
import { fileData, NO_FILE, refusedFile, tooManyBodies } from './body-file.ts';
import { answerChallenge, answerSlack } from './challenge.ts';
import { EVENT_TYPE } from './event.ts';
import { answerHandshake } from './handshake.ts';
import { Intake, type Sender } from './intake.ts';
import { answerFor } from './event-answer.ts';
import { problemResponse, reject, type Result } from './problem.ts';

/** Wrong calls are free to make: one line of log a second, with the number of the others. */
const REFUSAL_LOG_MS = 1_000;
/** Bodies that come in at a time and become files: one known sender, or many of one trigger, leave places to others. */
const MAX_RECEIVING = 16;
/** They have no body to keep. */
const WITHOUT_BODY = new Set(['GET', 'HEAD', 'OPTIONS']);

/** In the place of a body that is a file, or not read yet. */
const NOTHING = new Uint8Array(0);

interface Running {
  readonly context: SourceContext;
  readonly verify: Verify;
}

interface Receiving extends Running {
  readonly maxBytes: number;
}
interface ReceivedCall {
  /** Of the event, and so of the file. */
  readonly uid: string;
  readonly file: ReceivedBody;
  readonly headers: Headers;
  readonly sender: Sender;
  readonly context: SourceContext;
}
interface Told {
  readonly accepted: RoutedResult;
  readonly events: readonly NewEvent[];
  readonly batch: boolean;
  readonly context: SourceContext;
  readonly bytes: number;
}

export interface WebhookSourceParams {
  readonly name: string;
  readonly spec: WebhookSourceSpec;
  /** `spec.id`, compiled. */
  readonly identify?: Template;
  /** `spec.answer`, compiled. */
  readonly answer?: AnswerTemplates;
}

export function createWebhookSource(params: WebhookSourceParams): Source {
  return new WebhookSource(params);
}

/**
 * Takes calls to `/hooks/<trigger>`. Answers 202 with `{ event, duplicate, decided, decisions, executions, statusUrls }`
 * (a list of these under `events` for a batch) once the event is durable, or as the trigger's `answer` says; every refusal is RFC 9457 problem JSON.
 */
class WebhookSource implements Source {
  readonly #name: string;
  readonly #spec: WebhookSourceSpec;
  readonly #intake: Intake;
  readonly #answering: Answering;
  readonly #calls = new TokenBuckets(1);
  /** Anyone may call, so nobody hears what stands in the trigger. */
  readonly #open: boolean;
  /** Only where bodies become files: the host looks whether it is there. */
  readonly receive?: NonNullable<Source['receive']>;
  #running: Running | undefined;
  #receiving = 0;
  #refusals = 0;
  #refusalLogTime = -Infinity;

  constructor({ name, spec, identify, answer }: WebhookSourceParams) {
    this.#name = name;
    this.#spec = spec;
    this.#intake = new Intake(name, spec, identify);
    this.#answering = new Answering(name, spec, answer);
    this.#open = spec.auth === 'none';
    const { bodyFile } = spec;
    if (bodyFile !== undefined)
      this.receive = (request, info) => this.#receive(request, info, bodyFile.maxBytes);
  }

  manual(_time: number, data: Json | undefined): ManualEvent {
    return { type: EVENT_TYPE, source: `/hooks/${this.#name}`, data: data ?? null };
  }

  async start(context: SourceContext): Promise<void> {
    const { verify } = context;
    // Never "no check configured, so let everyone in": `auth: none` has a verifier too.
    if (verify === undefined) throw new TypeError(`the webhook trigger ${this.#name} has no verifier`);
    if (this.receive !== undefined && context.bodies === undefined)
      throw new TypeError(`the webhook trigger ${this.#name} has no place for bodies`);
    this.#answering.start();
    this.#running = { context, verify };
  }

  async stop(): Promise<void> {
    this.#running = undefined;
    this.#answering.stop();
  }

  async handle(request: Request, info: RequestInfo): Promise<Response> {
    const running = this.#running;
    if (running === undefined) return unavailable('The trigger is not taking calls at the moment.', 1);
    try {
      return await this.#answer(request, info, running);
    } catch (error) {
      return failure(error, running.context, this.#name);
    }
  }

  /** Who calls is settled first, so that a stranger does not even learn that the trigger exists. */
  async #answer(request: Request, info: RequestInfo, { context, verify }: Running): Promise<Response> {
    const body = await readBody(request);
    if (!body.ok) return problemResponse(body);
    const handshake = answerHandshake(request, this.#spec);
    if (handshake !== undefined) return handshake;
    const { headers } = request;
    const { challenge } = this.#spec;
    const asked =
      challenge === undefined
        ? undefined
        : await answerChallenge(request, challenge, context.verifyChallenge);
    if (asked !== undefined) return asked;
    const sender = await verify({ headers, body: body.value, ...info });
    if (sender.ok !== true) return this.#refuse(sender, info, context);
    const slack = challenge === 'slack' ? answerSlack(request, body.value) : undefined;
    if (slack !== undefined) return slack;
    if (request.method !== 'POST') {
      return problemResponse(reject(405, 'Send the event with POST.'), { allow: 'POST' });
    }
    // Let in now and not a moment ago, when the body could still have become a file: it is none for the data of an event.
    if (this.receive !== undefined)
      return unavailable('The body could not be kept as a file. Send it again.', 1);
    const wait = this.#waitForTurn(context);
    if (wait > 0) return tooMany('This trigger is called more often than its rateLimit says.', wait);
    const call = await this.#intake.read({
      headers,
      body: body.value,
      sender,
      context,
    });
    if (!call.ok) return problemResponse(call);
    const { events, batch } = call.value;
    const accepted = await context.accept({ events });
    return this.#told({ accepted, events, batch, context, bytes: body.value.length });
  }

  async #told({ accepted, events, batch, context, bytes }: Told): Promise<Response> {
    if (accepted.outcome === 'conflict')
      return unavailable('The event could not be stored. Send it again.', 1);
    const open = this.#open;
    const answers = await Promise.all(accepted.events.map((one) => answerFor(one, context, open)));
    // Each by its name: see “What a call makes dies with it” in docs/architecture.md.
    return this.#answering.respond({ events, answers, batch, context, bytes, open });
  }

  async #receive(request: Request, info: RequestInfo, maxBytes: number): Promise<Response | undefined> {
    const running = this.#running;
    // Whoever it is goes the usual way, which says so.
    if (running === undefined) return undefined;
    try {
      return await this.#answerFile(request, info, { ...running, maxBytes });
    } catch (error) {
      return failure(error, running.context, this.#name);
    }
  }

  /** What can be said of a call without its body is said before that is read. */
  async #answerFile(request: Request, info: RequestInfo, running: Receiving): Promise<Response | undefined> {
    const { context, verify, maxBytes } = running;
    const { headers, method } = request;
    const { bodies } = context;
    if (WITHOUT_BODY.has(method) || bodies === undefined) return undefined;
    const sender = await verify({ headers, body: NOTHING, ...info });
    // The usual way refuses him, as one whom no trigger knows.
    if (sender.ok === false) return undefined;
    if (sender.ok !== true) return this.#refuse(sender, info, context);
    // `curl -T <file>` alone is a PUT.
    if (method !== 'POST')
      return problemResponse(reject(405, 'Send the file with POST: curl -X POST -T <file>.'), {
        allow: 'POST',
      });
    const wait = this.#waitForTurn(context);
    if (wait > 0) return tooMany('This trigger is called more often than its rateLimit says.', wait);
    const refusal = this.#intake.problem({ headers, body: NOTHING, file: NO_FILE, sender, context });
    if (refusal !== undefined) return problemResponse(refusal);
    const uid = context.newId();
    const kept = await this.#keep(uid, request, bodies, maxBytes);
    if (isTappetError(kept)) {
      // A full disk is in the log once already; this says whom it meets.
      if (kept.code === 'STORE_UNAVAILABLE') this.#logRefusal(kept.message, info, context);
      return refusedFile(kept);
    }
    const problem = this.#goneMeanwhile(request, context);
    if (problem === undefined) return this.#acceptFile({ uid, file: kept, headers, sender, context });
    await kept.drop();
    return problem;
  }

  /** Or why not. */
  async #keep(
    uid: string,
    request: Request,
    bodies: Bodies,
    maxBytes: number,
  ): Promise<ReceivedBody | TappetError> {
    if (this.#receiving >= MAX_RECEIVING) return tooManyBodies(MAX_RECEIVING);
    const length = request.headers.get('content-length');
    const announcedBytes = length === null ? undefined : Number(length);
    this.#receiving += 1;
    try {
      return await bodies.receive(uid, request, { maxBytes, announcedBytes });
    } catch (error) {
      if (isTappetError(error)) return error;
      throw error;
    } finally {
      this.#receiving -= 1;
    }
  }

  /** What happened while a body came in that took hours; undefined = nothing. */
  #goneMeanwhile({ headers, signal }: Request, context: SourceContext): Response | undefined {
    // What came without a length is whole only as far as its sender stayed to the end.
    if (!headers.has('content-length') && signal.aborted)
      return problemResponse(reject(400, 'The body broke off before its end.'));
    if (this.#running?.context === context) return undefined;
    return unavailable('The trigger was changed or stopped while the body came in. Send it again.', 1);
  }

  async #acceptFile({ uid, file, headers, sender, context }: ReceivedCall): Promise<Response> {
    const data = fileData(headers, file);
    const read = this.#intake.read({ headers, body: NOTHING, file: data, sender, context });
    const call = await orDropped(file, read);
    if (!call.ok) {
      await file.drop();
      return problemResponse(call);
    }
    const events = call.value.events.map((event) => ({ ...event, uid }));
    const accepted = await orDropped(file, context.accept({ events }));
    if (accepted.outcome === 'stored' && accepted.events[0]?.duplicateOf === undefined) file.keep();
    else await file.drop();
    return this.#told({ accepted, events, batch: false, context, bytes: 0 });
  }

  /** 0, or in how many ms this call would be in time. */
  #waitForTurn({ clock }: SourceContext): number {
    const { rateLimit } = this.#spec;
    return rateLimit === undefined ? 0 : this.#calls.take('', clock.now(), rateLimit);
  }

  #refuse(result: Exclude<VerifyResult, { ok: true }>, info: RequestInfo, context: SourceContext): Response {
    this.#logRefusal(result.reason, info, context);
    if (result.ok === false) return problemResponse(UNAUTHENTICATED, { 'www-authenticate': 'Bearer' });
    const detail = 'The credentials cannot be checked at the moment. Send the event again later.';
    return unavailable(detail, result.retryAfter, 'ISSUER_UNAVAILABLE');
  }

  #logRefusal(reason: string, info: RequestInfo, context: SourceContext): void {
    const now = context.clock.now();
    const since = now - this.#refusalLogTime;
    // Below zero: the clock was set back.
    if (since >= 0 && since < REFUSAL_LOG_MS) {
      this.#refusals++;
      return;
    }
    const others = this.#refusals === 0 ? {} : { othersSinceLastLine: this.#refusals };
    this.#refusals = 0;
    this.#refusalLogTime = now;
    const fields = { trigger: this.#name, reason, remoteAddress: info.remoteAddress, ...others };
    context.log.warn('a webhook call was refused', fields);
  }
}

/** One text for every cause, and the same that an unknown trigger gets. */
const UNAUTHENTICATED = reject(401, 'The credentials are missing or wrong.');

async function readBody(request: Request): Promise<Result<Uint8Array>> {
  try {
    return { ok: true, value: new Uint8Array(await request.arrayBuffer()) };
  } catch (error) {
    if (isTappetError(error, 'PAYLOAD_TOO_LARGE')) return reject(413, error.message);
    return reject(400, 'The body could not be read to its end.');
  }
}

/** Where `work` fails, nothing has the file; unless that is not known, and it stays as long as nobody knows better. */
async function orDropped<T>(file: ReceivedBody, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isTappetError(error) && error.fields.maybeStored !== true) await file.drop();
    else file.keep();
    throw error;
  }
}

function unavailable(detail: string, retryAfter: number, code: ErrorCode = 'STORE_UNAVAILABLE'): Response {
  const seconds = String(Math.max(1, Math.ceil(retryAfter)));
  return problemResponse({ ...reject(503, detail), code }, { 'retry-after': seconds });
}

function tooMany(detail: string, waitMs: number): Response {
  return problemResponse(reject(429, detail), { 'retry-after': String(Math.ceil(waitMs / 1000)) });
}

function failure(error: unknown, context: SourceContext, trigger: string): Response {
  if (isTappetError(error, 'STORE_UNAVAILABLE')) {
    return unavailable('The event could not be stored. Send it again later.', error.fields.retryAfter ?? 1);
  }
  if (isTappetError(error, 'TOO_MANY_REQUESTS')) {
    return problemResponse(reject(429, error.message), {
      'retry-after': String(error.fields.retryAfter ?? 1),
    });
  }
  if (isTappetError(error, 'PAYLOAD_TOO_LARGE')) return problemResponse(reject(413, error.message));
  if (isTappetError(error, 'INVALID_ARGUMENT'))
    return problemResponse(reject(422, error.message, error.fields.path));
  if (isTappetError(error, 'ID_REUSED'))
    return problemResponse({ ...reject(422, error.message, error.fields.path), code: 'ID_REUSED' });
  context.log.error('a webhook call failed', { trigger, error: errorText(error) });
  return problemResponse(
    reject(500, 'The call failed for a reason of ours; the log of the gateway says which.'),
  );
}
