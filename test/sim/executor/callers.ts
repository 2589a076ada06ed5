import type { SeededRandom } from '../seeded-random.ts';
import type { VirtualTime } from '../virtual-time.ts';
import type { Message } from './checkers.ts';
import type { ExecGateway } from './gateway.ts';
import { JOB_NAMES } from './scenario.ts';

const RESEND_MS = 2_000;

export interface CallersParams {
  readonly time: VirtualTime;
  readonly random: SeededRandom;
  /** The process that serves, if one does. */
  readonly gateway: () => ExecGateway | undefined;
}

/** Who sends events, cancels and starts again. */
export class Callers {
  readonly messages: Message[] = [];
  /** Executions whose cancel was answered with a change. */
  readonly cancelled = new Set<string>();
  readonly #params: CallersParams;

  constructor(params: CallersParams) {
    this.#params = params;
  }

  newMessage(): Message {
    const n = this.messages.length + 1;
    const message: Message = { n, job: this.#params.random.pick(JOB_NAMES), acked: false };
    this.messages.push(message);
    return message;
  }

  sendAgain(): void {
    if (this.messages.length > 0) this.send(this.#params.random.pick(this.messages));
  }

  /** Until it is acknowledged: a process that ends takes its answers with it. */
  send(message: Message, gateway = this.#params.gateway(), note: { answered?: boolean } = {}): void {
    const { time } = this.#params;
    const again = (): void => void time.setTimer(RESEND_MS, () => message.acked || this.send(message));
    if (gateway === undefined) return again();
    gateway.deliver(message.job, message.n).then(
      ({ outcome }) => {
        if (outcome === 'stored') message.acked = true;
        note.answered = true;
      },
      () => void (note.answered = true),
    );
    again();
  }

  cancel(name: string): void {
    this.#params
      .gateway()
      ?.cancel(name)
      .then(
        (changed) => changed && this.cancelled.add(name),
        () => undefined,
      );
  }

  rerun(name: string): void {
    this.#params
      .gateway()
      ?.rerun(name)
      .catch(() => undefined);
  }
}
