import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'vitest';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { expectTrueEnds, sendEvent } from './crash-checks.ts';
import type { Sent, Wanted } from './crash-checks.ts';
import { configOf, DROPPED, EVENTS, KEY, kinds, ONE, TOKEN, TWO, WORD } from './crash-jobs.ts';
import type { Place } from './crash-places.ts';
import { engineRequest } from './engine.ts';
import { GatewayProcess } from './gateway-process.ts';
import type { TestStore } from './minio.ts';

export interface CrashRoundOptions {
  readonly place: Place;
  /** Of this round alone; made here. */
  readonly dir: string;
  readonly engine: EngineEndpoint;
  /** As DOCKER_HOST. */
  readonly host: string;
  readonly minio: TestStore;
  /** An image that the engine does not have, of the scenario `pull`. */
  readonly pulled: string;
}

/** A place that is not reached by then never will be; the slowest comes half a minute after the start. */
const REACHED_MS = 60_000;

/** A life of the gateway: where it is killed, and whether it is told to end. */
interface Life {
  readonly env: Readonly<Record<string, string>>;
  readonly at: string;
  readonly leaves: boolean;
}

/**
 * Events are sent, tasks run, are cancelled, run into timeouts and deadlines; the gateway is killed at its place and
 * started again. Whoever had no answer sends again, as careful senders do. What became of it is asked of the engine, the
 * object store, and the marks that the containers leave.
 */
export class CrashRound {
  readonly #options: CrashRoundOptions;
  readonly #results: string;
  readonly #inbox: string;
  readonly #trace: string;
  readonly #record: string;
  /** Its execution, by the id of an event that was acknowledged. */
  readonly #acked = new Map<string, string>();
  readonly #cancelled = new Set<string>();
  #gateway: GatewayProcess | undefined;
  #wanted: readonly Wanted[] = [];
  #bucket = '';
  #over = false;

  constructor(options: CrashRoundOptions) {
    this.#options = options;
    const { dir } = options;
    mkdirSync(dir, { recursive: true });
    this.#results = mkdtempSync(join(dir, 'results-'));
    this.#inbox = mkdtempSync(join(dir, 'inbox-'));
    this.#trace = join(dir, 'trace');
    this.#record = join(dir, 'place');
  }

  /** Each `<port>.<method>` that was called in any of its lives. */
  get called(): string[] {
    return readFileSync(this.#trace, 'utf8').trim().split('\n');
  }

  async run(): Promise<void> {
    await this.#prepare();
    try {
      for (const life of this.#lives()) await this.#live(life);
      await this.#start({ CRASH: '', CRASH_LOSES: '' });
      await this.#drive(true);
      const { engine, minio } = this.#options;
      await expectTrueEnds({
        gateway: this.#theGateway,
        engine,
        client: minio.client,
        bucket: this.#bucket,
        results: this.#results,
        wanted: this.#wanted,
        acked: this.#acked,
      });
      const { instance } = (await this.#theGateway.api('GET', '/api/v1/status')).json();
      await this.#theGateway.stop();
      // An engine has addresses for a hundred networks or so, and each round is an instance of its own.
      expectTaken(await engineRequest(engine, 'DELETE', `/v1.41/networks/${String(instance)}`), 204);
    } finally {
      await this.#theGateway.kill();
    }
  }

  get #theGateway(): GatewayProcess {
    if (this.#gateway === undefined) throw new Error('there is no gateway yet');
    return this.#gateway;
  }

  async #prepare(): Promise<void> {
    const { dir, minio, host, pulled, place } = this.#options;
    const keyFile = join(dir, 'key');
    writeFileSync(keyFile, KEY, { mode: 0o600 });
    this.#bucket = await minio.bucket();
    await minio.put(this.#bucket, 'one', ONE);
    await minio.put(this.#bucket, 'two', TWO);
    const names = EVENTS[place.scenario];
    const ids = names.map((name, i) => `${name}-${i}`);
    const after = place.scenario === 'heir' ? ids.slice(1) : [];
    const all = kinds({ bucket: this.#bucket, keyFile, pulled, after });
    const used = Object.fromEntries(Object.entries(all).filter(([name]) => names.includes(name)));
    this.#wanted = names.flatMap((name, i) => {
      const kind = all[name];
      return kind === undefined ? [] : [{ id: ids[i] ?? name, kind, name }];
    });
    const store = {
      kind: 's3',
      endpoint: minio.server.url,
      accessKeyId: { env: 'S3_KEY' },
      secretAccessKey: { env: 'S3_SECRET' },
    };
    const { accessKey, secretKey } = minio.server;
    this.#gateway = new GatewayProcess({
      dir,
      config: {
        connections: { store },
        ...configOf(used, { results: this.#results, inbox: this.#inbox }),
      },
      env: {
        DOCKER_HOST: host,
        S3_KEY: accessKey,
        S3_SECRET: secretKey,
        CRASH_WORD: WORD,
        CRASH_TOKEN: TOKEN,
        CRASH_TRACE: this.#trace,
        CRASH_RECORD: this.#record,
      },
      program: join(import.meta.dirname, 'crash-gateway.mjs'),
    });
  }

  #lives(): Life[] {
    const { at, scenario } = this.#options.place;
    const lost = scenario === 'deaf' ? { CRASH_LOSES: 'runner.stop' } : {};
    const life = { env: { CRASH: at, ...lost }, at, leaves: scenario === 'leave' };
    // By then a container has ended and is not removed, and others run.
    const before = 'store.finishAttempt:after:1';
    return scenario === 'heir' ? [{ env: { CRASH: before }, at: before, leaves: false }, life] : [life];
  }

  /** Until it is killed, which may be before it says that it listens. */
  async #live({ env, at, leaves }: Life): Promise<void> {
    rmSync(this.#record, { force: true });
    const reached = this.#start(env).then(
      () => this.#meanwhile(leaves),
      () => undefined,
    );
    await Promise.race([reached, pause(REACHED_MS)]);
    if (!existsSync(this.#record)) await this.#theGateway.kill();
    await expectKilled(this.#theGateway, this.#record, at);
  }

  async #meanwhile(leaves: boolean): Promise<void> {
    await this.#drive(!leaves);
    if (leaves && (await this.#up('unwanted-1'))) this.#theGateway.signal('SIGTERM');
    await this.#theGateway.ended();
  }

  async #start(env: Readonly<Record<string, string>>): Promise<void> {
    this.#over = false;
    await this.#theGateway.start(env);
    void this.#theGateway.ended().then(() => (this.#over = true));
  }

  /** All that is still to be done from outside, as far as the gateway lives to see it. */
  async #drive(cancels: boolean): Promise<void> {
    await Promise.all(
      this.#wanted.map(async (wanted) => {
        const { id, kind } = wanted;
        if (kind.source === 'file') return this.#drop(id);
        if (!this.#acked.has(id)) await this.#unlessOver(() => this.#ask(wanted));
        if (cancels && kind.cancel === true && !this.#cancelled.has(id) && (await this.#up(id)))
          await this.#unlessOver(() => this.#cancel(id));
      }),
    );
  }

  #drop(id: string): void {
    if (existsSync(join(this.#inbox, id))) return;
    writeFileSync(join(this.#results, '..', `${id}.part`), DROPPED);
    renameSync(join(this.#results, '..', `${id}.part`), join(this.#inbox, id));
  }

  /** A broken connection is no answer where the gateway has been killed, and a failure where not. */
  async #unlessOver(ask: () => Promise<void>): Promise<void> {
    try {
      await ask();
    } catch (error) {
      // The connection breaks a moment before the process is seen to have ended.
      for (let i = 0; i < 40 && !this.#over; i++) await pause(50);
      if (!this.#over) throw error;
    }
  }

  async #ask(wanted: Wanted): Promise<void> {
    if (wanted.kind.source === 'api') return this.#runByHand(wanted);
    const { url } = this.#theGateway;
    const sent = await sendEvent(url, wanted);
    this.#acked.set(wanted.id, sent.execution);
    // Whoever thinks that it had no answer sends again.
    expectSame(sent, await sendEvent(url, wanted));
  }

  /** A run has no id of the caller's: who had no answer looks first whether there is one. */
  async #runByHand({ id, name: job }: Wanted): Promise<void> {
    const there = await this.#theGateway.list(`/api/v1/executions?job=${job}`, 'executions');
    const run = there[0] ?? (await this.#theGateway.api('POST', `/api/v1/jobs/${job}:run`, {})).json();
    this.#acked.set(id, String(run['name']));
  }

  async #cancel(id: string): Promise<void> {
    const path = `/api/v1/executions/${this.#acked.get(id) ?? ''}:cancel`;
    // Whoever thinks that it had no answer asks again.
    for (let i = 0; i < 2; i++) expectTaken(await this.#theGateway.api('POST', path, {}));
    this.#cancelled.add(id);
  }

  /** Whether its container runs, or has; false = the gateway has ended, or it never will. */
  async #up(id: string): Promise<boolean> {
    const up = (): boolean => existsSync(join(this.#results, `${id}.up`));
    const end = Date.now() + REACHED_MS;
    while (!up() && !this.#over && Date.now() < end) await pause(50);
    return up();
  }
}

async function expectKilled(gateway: GatewayProcess, record: string, at: string): Promise<void> {
  const end = await gateway.ended();
  expect(end, gateway.output).toEqual({ code: null, signal: 'SIGKILL' });
  expect(existsSync(record), `${at} was reached\n${gateway.output}`).toBe(true);
  expect(readFileSync(record, 'utf8')).toBe(at);
}

function expectSame(first: Sent, again: Sent): void {
  expect(first.status).toBe(202);
  expect(again).toEqual({ ...first, duplicate: true });
}

function expectTaken({ status, ...answer }: { readonly status: number }, wanted = 200): void {
  expect(status, JSON.stringify(answer)).toBe(wanted);
}
