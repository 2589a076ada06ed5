import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { callEngine, pingEngine } from '../../scripts/lib/engine-api.mjs';
import { describeClone } from '../../scripts/lib/clone.mjs';
import { copyCheckout } from '../support/checkout-copy.ts';
import type { CheckoutCopy } from '../support/checkout-copy.ts';
import { engineTraces, processesIn } from '../support/clone-traces.ts';
import { engineHost } from '../support/engine-host.ts';

const START_MS = 120_000;
const LIMIT_MS = 180_000;
interface Jobs {
  jobs: Record<string, { command: string[] }>;
}

/** A clone of its own with one job of the examples changed; gone when the test is over. */
function cloneWith(job: string, script: string): CheckoutCopy {
  const copy = copyCheckout();
  onTestFinished(copy.remove);
  const file = join(copy.dir, 'config.example.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as Jobs;
  const { command } = config.jobs[job] ?? { command: [] };
  command.splice(0, 1, '/bin/sh', '-c', `${command[0]} && ${script}`);
  writeFileSync(file, JSON.stringify(config));
  return copy;
}

/** What `npm run demo` starts. */
class Demo {
  output = '';
  readonly #child: ChildProcess;
  readonly #closed: Promise<number | null>;

  constructor(dir: string, args: readonly string[], dockerHost: string | undefined) {
    const { DOCKER_HOST: _, ...env } = process.env;
    // A process group of its own, as a terminal gives to each command.
    this.#child = spawn(process.execPath, ['scripts/demo.mjs', '--yes', ...args], {
      cwd: dir,
      env: { ...env, ...(dockerHost === undefined ? {} : { DOCKER_HOST: dockerHost }) },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    this.#closed = new Promise((resolve) => this.#child.on('close', resolve));
    // A test that fails before its Ctrl-C leaves nothing either.
    onTestFinished(async () => {
      if (this.#child.exitCode === null && this.#child.signalCode === null) this.interrupt();
      await this.#closed;
    });
  }

  /** What the terminal sends at Ctrl-C: to every program of the group. */
  interrupt(): void {
    process.kill(-(this.#child.pid ?? 0), 'SIGINT');
  }

  /** The exit code, once it has ended and closed its output. */
  ended(): Promise<number | null> {
    return this.#closed;
  }

  async until(found: (output: string) => boolean | Promise<boolean>): Promise<void> {
    const signal = AbortSignal.timeout(START_MS);
    while (!(await found(this.output))) {
      if (signal.aborted || this.#child.exitCode !== null) throw new Error(`not seen in:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Containers and networks of this instance, each as `kind name`. */
async function ofInstance(host: string, instance: string): Promise<string[]> {
  const version = await pingEngine(host);
  const ask = async (path: string) =>
    JSON.parse((await callEngine(host, `${version}${path}`)).text) as unknown;
  const filters = encodeURIComponent(JSON.stringify({ label: [`dev.tappet.instance=${instance}`] }));
  const containers = (await ask(`/containers/json?all=1&filters=${filters}`)) as {
    Id: string;
    State: string;
  }[];
  const networks = (await ask('/networks')) as { Name: string }[];
  return [
    ...containers.map(({ State }) => `container ${State}`),
    ...networks.filter(({ Name }) => Name === instance).map(() => 'network'),
  ];
}

async function instanceOf(dir: string, output: string): Promise<string> {
  const url = /API +(http\S+)/.exec(output)?.[1] ?? '';
  const token = readFileSync(join(dir, '.tappet/demo/token'), 'utf8').trim();
  const answer = await fetch(`${url}/status`, { headers: { authorization: `Bearer ${token}` } });
  return ((await answer.json()) as { instance: string }).instance;
}

it('ends non-zero with the reason when an example has failed', { timeout: LIMIT_MS }, async () => {
  const { dir } = cloneWith('invoice', 'exit 3');
  const demo = new Demo(dir, ['--once'], await engineHost());
  expect(await demo.ended()).toBe(1);
  expect(demo.output).toContain('The demo failed:\n  call-webhook: invoice-');
  expect(demo.output).toMatch(/invoice-\w+ is FAILED: .*exit code 3/);
  // The examples whose job was not changed have succeeded.
  for (const job of ['report', 'transcode', 'import'])
    expect(demo.output).toMatch(new RegExp(`${job}-\\w+, 1 task: SUCCEEDED`));
  expect(demo.output).toContain('filtered: ');
  expect(demo.output).not.toContain('examples succeeded');
  expect(processesIn(dir)).toEqual([]);
});

it(
  'goes on until Ctrl-C, then leaves no process, and nothing on an engine that goes on',
  { timeout: LIMIT_MS },
  async () => {
    const host = await engineHost();
    const { dir } = cloneWith('report', 'sleep 4');
    const demo = new Demo(dir, [], host);
    await demo.until((output) => output.includes('Ctrl-C ends the demo'));
    const instance = await instanceOf(dir, demo.output);
    // The link that it prints opens the page.
    const link = /look at it +(http\S+)/.exec(demo.output)?.[1] ?? '';
    const page = await fetch(link, { redirect: 'manual' });
    expect(page.status).toBeLessThan(400);
    expect(page.headers.get('set-cookie')).toContain('HttpOnly');
    // The schedule goes on: interrupted is a demo whose containers run.
    await demo.until(async () => (await ofInstance(host, instance)).includes('container running'));
    expect(await ofInstance(host, instance)).toContain('network');
    expect(processesIn(dir).length).toBeGreaterThanOrEqual(3);
    demo.interrupt();
    expect(await demo.ended()).toBe(0);
    for (const name of ['nightly-report', 'transcode-upload', 'call-webhook', 'inbox-folder'])
      expect(demo.output).toMatch(new RegExp(`^${name} +SUCCEEDED$`, 'm'));
    expect(demo.output).toContain('All 5 examples succeeded.');
    expect(processesIn(dir)).toEqual([]);
    expect(await ofInstance(host, instance)).toEqual([]);
  },
);

it('stops the private engine that it started', { timeout: LIMIT_MS }, async () => {
  const { dir } = cloneWith('report', 'true');
  const clone = describeClone(dir);
  const demo = new Demo(dir, [], undefined);
  await demo.until((output) => output.includes('Ctrl-C ends the demo'));
  // Where the machine has an engine of its own, none is started.
  if (demo.output.includes('a private one of this clone')) expect(engineTraces(clone)).not.toEqual([]);
  demo.interrupt();
  expect(await demo.ended()).toBe(0);
  expect(processesIn(dir)).toEqual([]);
  expect(engineTraces(clone)).toEqual([]);
});
