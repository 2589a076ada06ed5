import { Agent, request } from 'node:http';
import type { JsonObject } from '../../src/core/json.ts';
import type { Random } from '../../src/core/random.ts';

interface InsistentSenderOptions {
  /** Asked before each call: whoever is called may have been started anew elsewhere. */
  readonly url: (n: number) => string;
  readonly perSecond: number;
  /** One call in so many is not sent again when it failed: some senders give up. */
  readonly givesUp: number;
  /** One call in so many is sent once more after its acknowledgement: some senders do not hear it. */
  readonly sendsTwice: number;
  readonly random: Random;
}

/** Of one id. */
export interface Sent {
  readonly n: number;
  readonly id: string;
  /** The executions that each acknowledgement named. */
  readonly acknowledged: (readonly string[])[];
  tries: number;
  givenUp: boolean;
}

const TICK_MS = 10;
const AGAIN_MS = 100;
const AGAIN_JITTER_MS = 300;
const CONNECTIONS = 32;

/**
 * Sends calls with an id of their own at a steady rate while it is told to, and again where that is what senders do:
 * after a 5xx, and after no answer, until they are acknowledged.
 */
export class InsistentSender {
  readonly sent: Sent[] = [];
  /** Answers that no dying process excuses. */
  readonly wrong: string[] = [];
  /** Calls without an answer, and 5xx. */
  failures = 0;
  readonly #options: InsistentSenderOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  readonly #open: Promise<void>[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: InsistentSenderOptions) {
    this.#options = options;
  }

  /** New calls from now on. */
  go(): void {
    const began = performance.now();
    const before = this.sent.length;
    this.#timer = setInterval(() => {
      const due = before + Math.floor(((performance.now() - began) / 1000) * this.#options.perSecond);
      while (this.sent.length < due) this.#begin();
    }, TICK_MS);
  }

  /** No new calls; those that failed are still sent again. */
  pause(): void {
    clearInterval(this.#timer);
  }

  /** Resolves when each call is acknowledged or given up. Whoever is called has to be there, and to stay. */
  async finish(): Promise<void> {
    this.pause();
    await Promise.all(this.#open);
    this.#agent.destroy();
  }

  #begin(): void {
    const n = this.sent.length;
    const sent: Sent = { n, id: `id-${n}`, acknowledged: [], tries: 0, givenUp: false };
    this.sent.push(sent);
    this.#open.push(this.#insist(sent));
  }

  async #insist(sent: Sent): Promise<void> {
    const { givesUp, sendsTwice, random } = this.#options;
    const patience = sent.n % givesUp === 0 ? 1 : Infinity;
    const wanted = sent.n % sendsTwice === 0 ? 2 : 1;
    while (sent.acknowledged.length < wanted) {
      if (sent.tries >= patience && sent.acknowledged.length === 0) {
        sent.givenUp = true;
        return;
      }
      if (sent.tries > 0) await sleep(AGAIN_MS + random.next() * AGAIN_JITTER_MS);
      sent.tries += 1;
      if (!(await this.#try(sent))) return;
    }
  }

  /** False where it makes no sense to go on. */
  async #try(sent: Sent): Promise<boolean> {
    const answer = await this.#call(sent);
    if (answer === undefined || answer.status >= 500) {
      this.failures += 1;
      return true;
    }
    if (answer.status !== 202) {
      this.wrong.push(`${sent.id}: ${answer.status} ${answer.text}`);
      return false;
    }
    const { executions } = JSON.parse(answer.text) as JsonObject;
    sent.acknowledged.push(executions as string[]);
    return true;
  }

  /** Undefined = no answer, or half of one. */
  #call({ n, id }: Sent): Promise<{ status: number; text: string } | undefined> {
    const body = JSON.stringify({ id });
    const headers = {
      'content-type': 'application/json',
      'content-length': body.length,
      'idempotency-key': id,
    };
    return new Promise((resolve) => {
      const call = request(this.#options.url(n), { method: 'POST', agent: this.#agent, headers });
      call.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('error', () => resolve(undefined));
        response.on('close', () =>
          resolve(response.complete ? { status: response.statusCode ?? 0, text } : undefined),
        );
      });
      call.on('error', () => resolve(undefined));
      call.end(body);
    });
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
