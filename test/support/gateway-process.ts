import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { JsonObject } from '../../src/core/json.ts';
import { cli } from './cli-runner.ts';
import { namesCause } from './outcome-forms.ts';

/** Failed executions that are described before a gateway ends: the newest. */
const DESCRIBED = 20;
const ROOT = join(import.meta.dirname, '../..');

export interface GatewayProcessOptions {
  readonly dir: string;
  /** Written anew at each start; absent where the test writes `tappet.json` in `dir` itself, a file or a folder. */
  readonly config?: JsonObject;
  readonly env?: Readonly<Record<string, string>>;
  /** More words of its command line. */
  readonly flags?: readonly string[];
  /** Another program than the CLI: one that wraps ports and calls `startGateway` itself. */
  readonly program?: string;
  /** Words before its command line: a program that runs another one in its place, by the same process id. */
  readonly under?: readonly string[];
}

/** A gateway in a process of its own: the built product, started as a user starts it. */
export class GatewayProcess {
  readonly #options: GatewayProcessOptions;
  #child: ChildProcess | undefined;
  #url = '';
  /** Everything it printed, for a failing test's message. */
  output = '';

  constructor(options: GatewayProcessOptions) {
    this.#options = options;
  }

  get dataDir(): string {
    return join(this.#options.dir, 'data');
  }
  get url(): string {
    return this.#url;
  }
  get pid(): number {
    return this.#child?.pid ?? 0;
  }
  get token(): string {
    return readFileSync(join(this.dataDir, 'token'), 'utf8').trim();
  }

  /** Resolves when it says that it listens; rejects with its output when it ends before. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    const { dir, config, program, flags = [], under = [] } = this.#options;
    await mkdir(dir, { recursive: true });
    const configPath = join(dir, 'tappet.json');
    if (config !== undefined) await writeFile(configPath, JSON.stringify(config));
    const args = program === undefined ? [join(ROOT, 'dist/src/cli.js'), 'serve'] : [program];
    const own = [...args, '-c', configPath, '--data-dir', this.dataDir, '--port', '0', ...flags];
    const [command = process.execPath, ...words] = [...under, process.execPath, ...own];
    const child = spawn(command, words, {
      env: { ...process.env, ...this.#options.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#url = await this.#listening(child);
  }

  async #listening(child: ChildProcess): Promise<string> {
    const { stdout, stderr } = child;
    if (stdout === null || stderr === null) throw new TypeError('the gateway was started without pipes');
    return new Promise((resolve, reject) => {
      child.once('exit', (code, signal) =>
        reject(new Error(`the gateway ended (${code ?? signal}):\n${this.output}`)),
      );
      const read = (line: string): void => {
        this.output += `${line}\n`;
        const found = /listens on (http:\/\/\S+)/.exec(line)?.[1];
        if (found !== undefined) resolve(found);
      };
      for (const input of [stdout, stderr]) createInterface({ input }).on('line', read);
    });
  }

  /** Resolves with how the process ended. */
  async ended(): Promise<{ code: number | null; signal: string | null }> {
    const child = this.#child;
    if (child === undefined) return { code: null, signal: null };
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return { code: child.exitCode, signal: child.signalCode };
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.ended();
  }

  /** Whatever failed in it has been explained by then: `describe` is asked of every test's failures. */
  async stop(): Promise<void> {
    try {
      await this.#checkCauses();
    } finally {
      await this.end();
    }
  }

  /** SIGTERM, and asks for nothing before: where it may not answer. */
  async end(): Promise<void> {
    this.signal('SIGTERM');
    await this.ended();
  }

  async #checkCauses(): Promise<void> {
    const child = this.#child;
    if (this.#url === '' || child === undefined || child.exitCode !== null || child.signalCode !== null)
      return;
    const answer = await this.api('GET', `/api/v1/executions?state=FAILED&pageSize=${DESCRIBED}`);
    if (answer.status !== 200)
      throw new Error(`failed executions are not listed: ${answer.status} ${answer.text}`);
    const env = { TAPPET_URL: this.#url, TAPPET_TOKEN: this.token };
    for (const { name, reason } of answer.json()['executions'] as JsonObject[]) {
      const described = await cli(['executions', 'describe', String(name)], { env, fetch, now: Date.now });
      // Retention may have taken it since.
      if ((await this.api('GET', `/api/v1/executions/${String(name)}`)).status === 404) continue;
      const line = described.out.split('\n')[0] ?? '';
      if (namesCause(String(reason), line)) continue;
      throw new Error(
        `${String(name)}, ${String(reason)}, is described without its cause: ${line}${described.err}`,
      );
    }
  }

  /** An API call with the gateway's own token; the parsed answer, whatever its status. */
  async api(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<ApiAnswer> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, text, json: () => JSON.parse(text) as JsonObject };
  }

  /** All pages of a list; `path` may have a query. */
  async list(path: string, field: string): Promise<JsonObject[]> {
    const all: JsonObject[] = [];
    let token = '';
    do {
      const query = `pageSize=1000&pageToken=${encodeURIComponent(token)}`;
      const answer = await this.api('GET', `${path}${path.includes('?') ? '&' : '?'}${query}`);
      if (answer.status !== 200) throw new Error(`GET ${path}: ${answer.status} ${answer.text}`);
      const page = answer.json();
      all.push(...(page[field] as JsonObject[]));
      token = String(page['nextPageToken']);
    } while (token !== '');
    return all;
  }

  /** Asks every 50 ms until `check` gives something; the last answer stands in the error after `withinMs`. */
  async until<T>(path: string, check: (answer: JsonObject) => T | undefined, withinMs = 30_000): Promise<T> {
    const end = Date.now() + withinMs;
    for (;;) {
      const answer = await this.api('GET', path);
      const found = answer.status === 200 ? check(answer.json()) : undefined;
      if (found !== undefined) return found;
      if (Date.now() > end)
        throw new Error(`GET ${path} never got there: ${answer.status} ${answer.text}\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

export interface ApiAnswer {
  readonly status: number;
  readonly text: string;
  json(): JsonObject;
}
