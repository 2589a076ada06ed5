import { Agent, request } from 'node:http';

interface Call {
  readonly id: string;
  /** Epoch ms. */
  readonly sentTime: number;
  /** The answer's; undefined where there was none. */
  status?: number;
  /** As the answer has it. */
  retryAfter?: string;
  /** Why there was none. */
  error?: string;
  /** Its connection was there when the error came. */
  connected: boolean;
}

interface SteadyCallerOptions {
  readonly url: string;
  readonly perSecond: number;
  /** Connections that are kept open and used again; 0 = each call has one of its own. */
  readonly connections: number;
  readonly headers: (id: string) => Readonly<Record<string, string>>;
  readonly body: (n: number) => string;
}

const TICK_MS = 10;

/** Calls at a steady rate, whatever the answers do, until `stop`. Nothing is sent a second time. */
export class SteadyCaller {
  readonly calls: Call[] = [];
  readonly #options: SteadyCallerOptions;
  readonly #agent: Agent | false;
  readonly #prefix: string;
  readonly #open = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  readonly #began = performance.now();

  constructor(prefix: string, options: SteadyCallerOptions) {
    this.#prefix = prefix;
    this.#options = options;
    const { connections } = options;
    // Each in its turn: one that nobody used for as long as the gateway keeps it open meets its end now and then.
    const kept = { keepAlive: true, scheduling: 'fifo', maxSockets: connections } as const;
    this.#agent = connections === 0 ? false : new Agent(kept);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  get acknowledged(): Call[] {
    return this.calls.filter(({ status = 0 }) => status >= 200 && status < 300);
  }

  /** Those that were on a connection and got no answer. */
  get broken(): Call[] {
    return this.calls.filter(({ error, connected }) => error !== undefined && connected);
  }

  /** Resolves when every call has its answer or its error. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
    if (this.#agent !== false) this.#agent.destroy();
  }

  /** What a slow timer left out is caught up with. */
  #tick(): void {
    const due = Math.floor(((performance.now() - this.#began) / 1000) * this.#options.perSecond);
    while (this.calls.length < due) {
      const sent = this.#send(this.calls.length);
      this.#open.add(sent);
      void sent.then(() => this.#open.delete(sent));
    }
  }

  #send(n: number): Promise<void> {
    const { url, headers, body } = this.#options;
    const call: Call = { id: `${this.#prefix}-${n}`, sentTime: Date.now(), connected: false };
    this.calls.push(call);
    const text = body(n);
    return new Promise((resolve) => {
      const sent = request(url, {
        method: 'POST',
        agent: this.#agent,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
          ...headers(call.id),
        },
      });
      sent.on('socket', (socket) => {
        if (!socket.connecting) call.connected = true;
        else socket.once('connect', () => (call.connected = true));
      });
      sent.on('response', (response) => {
        response.resume();
        response.on('error', (error) => (call.error = error.message));
        response.on('close', () => {
          if (response.complete) call.status = response.statusCode ?? 0;
          const after = response.headers['retry-after'];
          if (after !== undefined) call.retryAfter = after;
          resolve();
        });
      });
      sent.on('error', (error) => {
        call.error = error.message;
        resolve();
      });
      sent.end(text);
    });
  }
}
