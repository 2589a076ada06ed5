import type { GatewayProcess } from './gateway-process.ts';

/** What a failing disk may make of an answer: come again, in a plain sentence, and nothing else. */
const REFUSAL = /^[A-Z][\w ,;]+\.( [A-Z][\w ,;]+\.)?$/;
const PAUSE_MS = 20;

/** Sends calls with an id of their own, and again where that is what senders do: after a 503, and after no answer. */
export class IoErrorSender {
  readonly acked = new Set<string>();
  readonly unacked = new Set<string>();
  /** Answers that no failing disk excuses. */
  readonly wrong: string[] = [];
  refusals = 0;
  breaks = 0;
  readonly #gateway: GatewayProcess;

  constructor(gateway: GatewayProcess) {
    this.#gateway = gateway;
  }

  /** Each id until it is acknowledged, or was sent so often: then it stays in `unacked`. */
  async send(ids: readonly string[], most: number): Promise<void> {
    for (const id of ids) {
      this.unacked.add(id);
      for (let tries = 0; tries < most && !(await this.#try(id)); tries++) await pause(PAUSE_MS);
    }
  }

  async #try(id: string): Promise<boolean> {
    try {
      const headers = { 'idempotency-key': id };
      const response = await fetch(`${this.#gateway.url}/hooks/in`, { method: 'POST', headers });
      const text = await response.text();
      if (response.status === 202) {
        this.acked.add(id);
        return this.unacked.delete(id);
      }
      this.refusals += 1;
      const { detail } = JSON.parse(text) as { detail: string };
      if (response.status !== 503 || !REFUSAL.test(detail)) this.wrong.push(`${response.status} ${text}`);
    } catch {
      this.breaks += 1;
    }
    return false;
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
