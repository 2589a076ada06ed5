import type { Fetch } from '../../src/core/fetch.ts';
import type { Notification, NotifySpec, ReceiverSpec } from '../../src/core/notify.ts';
import { SecretValue } from '../../src/core/secrets.ts';
import { NotificationSender } from '../../src/notify/sender.ts';
import type { SenderOptions } from '../../src/notify/sender.ts';
import { FakeLog } from './fake-log.ts';
import { JOB_DEFAULTS } from '../../src/core/job.ts';
import { ManualClock, settle } from './manual-clock.ts';
import { memoryStore } from './migrated.ts';
import { SeededIds } from './seeded-ids.ts';

export const SECRET = `whsec_${Buffer.alloc(32, 'k').toString('base64')}`;
export const FAILURES: NotifySpec = { onFailure: ['ops'], onRecovery: ['ops'], onCompletion: [] };
export const completions = (...receivers: string[]): NotifySpec => ({
  onFailure: [],
  onRecovery: [],
  onCompletion: receivers,
});

/** What came over the network, as `fetch` was called. */
export interface Sent {
  readonly url: string;
  readonly at: number;
  readonly id: string;
  readonly body: string;
  readonly headers: Headers;
}

/** The production sender and store, and receivers that a test plays, all on one clock. Senders come and go. */
export class NotifyRig {
  readonly clock = new ManualClock();
  readonly ids = new SeededIds();
  readonly log = new FakeLog();
  readonly store = memoryStore(this.clock, this.ids);
  readonly receivers = new Map<string, ReceiverSpec>();
  readonly secrets = new Map<string, string>([['S', SECRET]]);
  readonly sent: Sent[] = [];
  /** What a receiver answers; it may throw, and wait. */
  answer: (sent: Sent, init: RequestInit) => Response | Promise<Response> = () =>
    new Response(null, { status: 204 });
  /** What the random port draws. */
  random = 0;
  readonly #senders: NotificationSender[] = [];
  #epoch = 0;

  constructor() {
    for (const name of ['ops', 'ci']) this.receiver(name);
  }

  async open(): Promise<this> {
    await this.store.open();
    const lease = await this.store.acquireEngine('docker', 'me', 10 * 365 * 86_400_000);
    if (lease.held) this.#epoch = lease.epoch;
    return this;
  }

  async close(): Promise<void> {
    await Promise.all(this.#senders.map((sender) => sender.stop()));
    await this.store.close();
  }

  receiver(name: string, over: Partial<ReceiverSpec> = {}): void {
    const spec = { url: `https://${name}.example/hook`, secret: { env: 'S' } };
    this.receivers.set(name, { ...spec, allowHttp: false, allowPrivateAddresses: false, ...over });
  }

  readonly fetch: Fetch = async (url, init = {}) => {
    const headers = new Headers(init.headers);
    const { body } = init;
    const id = headers.get('webhook-id') ?? '';
    const sent = { url, at: this.clock.now(), id, body: typeof body === 'string' ? body : '', headers };
    this.sent.push(sent);
    return this.answer(sent, init);
  };

  options(): SenderOptions {
    const { store, clock, log, fetch, receivers } = this;
    return {
      store,
      clock,
      log,
      fetch,
      fetchAnywhere: (url, init) => fetch(`${url}#anywhere`, init),
      receivers: () => receivers,
      random: { next: () => this.random },
      secrets: {
        resolve: async (ref) => {
          const value = this.secrets.get('env' in ref ? ref.env : '');
          if (value === undefined) throw new Error('there is no such secret');
          return new SecretValue(value);
        },
      },
    };
  }

  async sender(over: Partial<SenderOptions> = {}): Promise<NotificationSender> {
    const sender = new NotificationSender({ ...this.options(), ...over });
    this.#senders.push(sender);
    await sender.start();
    await settle();
    return sender;
  }

  /** One execution of `job` from its creation to its end; gives its name. */
  async run(code: number, notify: NotifySpec, job = 'work'): Promise<string> {
    const name = `${job}-${this.ids.suffix(10)}`;
    await this.store.createExecution({
      uid: this.ids.uid(),
      name,
      job,
      jobGeneration: 1,
      spec: { ...JOB_DEFAULTS, image: 'busybox', env: {}, binds: [], maxRetries: 0, notify },
      context: {},
      cause: { kind: 'api', principal: 'test' },
      labels: {},
    });
    const epoch = this.#epoch;
    const { claims } = await this.store.claimAttempts({
      engine: 'docker',
      epoch,
      limit: 1,
      maxParallelism: 1,
    });
    const key = claims[0]?.attempt;
    if (key === undefined) throw new Error('nothing to claim');
    const { execution, index, attempt } = key;
    const startTime = this.clock.now();
    await this.store.attemptStarted({
      key: { execution, index, attempt },
      epoch,
      startTime,
      imageDigest: null,
    });
    await this.store.finishAttempt({
      key: { execution, index, attempt },
      epoch,
      result: {
        state: code === 0 ? 'SUCCEEDED' : 'FAILED',
        reason: code === 0 ? 'EXITED_ZERO' : 'NON_ZERO_EXIT_CODE',
        message: `Exited with code ${code}.`,
        exitCode: code,
        signal: null,
        endTime: this.clock.now(),
      },
      logBytes: null,
    });
    return name;
  }

  logged(...levels: readonly ('warn' | 'error')[]): string[] {
    const lines = this.log.lines.filter(({ level }) => levels.some((one) => one === level));
    return lines.map(({ message }) => message);
  }

  /** Oldest first. */
  async rows(): Promise<readonly Notification[]> {
    return (await this.store.listNotifications({}, { size: 1000 })).items.toReversed();
  }

  /** Lets so much time pass, and the sender look at its end alone. */
  async pass(ms: number): Promise<void> {
    this.clock.set(this.clock.now() + ms - 1000);
    await this.clock.advance(1000);
  }

  /** Lets time pass until `done`; fails when that takes more than ten minutes of it. */
  async until(done: () => boolean | Promise<boolean>, stepMs = 500): Promise<void> {
    await settle();
    for (let passed = 0; passed < 600_000; passed += stepMs) {
      if (await done()) return;
      await this.clock.advance(stepMs);
    }
    throw new Error(`it did not happen within ten minutes; the log says:\n${JSON.stringify(this.log.lines)}`);
  }
}
