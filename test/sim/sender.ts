import type { SeededRandom } from './seeded-random.ts';
import type { SimGateway } from './gateway.ts';
import { ENDPOINTS, messageEvent } from './scenario.ts';
import type { Endpoint } from './scenario.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface Message {
  readonly n: number;
  readonly endpoint: Endpoint;
  acked: boolean;
  sent: number;
  pauseMs: number;
}

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** No answer within this: sent again. The gateway may have died, or its answer was lost. */
const TIMEOUT_MS = 10_000;

export interface SenderParams {
  readonly time: VirtualTime;
  readonly random: SeededRandom;
  /** The process that listens now, if one does. */
  gateway(): SimGateway | undefined;
  trace(line: string): void;
}

/** A sender that keeps its promises: what was not acknowledged is sent again until it is. */
export class Sender {
  readonly messages: Message[] = [];
  /** Share of acknowledgements that get lost on the way. */
  loss = 0;
  readonly #params: SenderParams;

  constructor(params: SenderParams) {
    this.#params = params;
  }

  post(): void {
    const n = this.messages.length + 1;
    const endpoint = this.#params.random.pick(ENDPOINTS);
    const message = { n, endpoint, acked: false, sent: 0, pauseMs: RETRY_MIN_MS };
    this.messages.push(message);
    this.#send(message);
  }

  /** Sends something again that was acknowledged, or is under way. */
  duplicate(): void {
    if (this.messages.length > 0) this.#attempt(this.#params.random.pick(this.messages), () => undefined);
  }

  #send(message: Message): void {
    let answered = false;
    const settle = (ok: boolean): void => {
      if (answered) return;
      answered = true;
      cancel();
      if (ok) message.acked = true;
      else this.#sendLater(message);
    };
    const cancel = this.#params.time.setTimer(TIMEOUT_MS, () => settle(false));
    this.#attempt(message, settle);
  }

  #sendLater(message: Message): void {
    this.#params.time.setTimer(message.pauseMs, () => this.#send(message));
    message.pauseMs = Math.min(message.pauseMs * 2, RETRY_MAX_MS);
  }

  #attempt(message: Message, settle: (ok: boolean) => void): void {
    const { random } = this.#params;
    const gateway = this.#params.gateway();
    const lost = random.chance(this.loss);
    message.sent++;
    if (gateway === undefined) return settle(false);
    gateway.deliver(message.endpoint.name, messageEvent(message.n)).then(
      (result) => {
        this.#params.trace(`  message ${message.n}: ${result.outcome}${lost ? ', answer lost' : ''}`);
        if (!lost) settle(result.outcome === 'stored');
      },
      () => settle(false),
    );
  }
}
