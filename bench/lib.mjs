// What the benchmarks share: processes, the load generator, medians.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { endsWithUs } from '../scripts/lib/ends-with-us.mjs';

const ROOT = join(import.meta.dirname, '..');

export function scratch() {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-bench-'));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/**
 * Starts a Node program and waits for `listens on <url>` on its standard output. In a session of its own, as a service
 * has: Linux divides the cores between sessions, and within one between threads, where a server of many threads would
 * leave little to one that has one. It ends with us, however we end.
 */
export async function startProgram(args, env = {}) {
  const child = spawn(...endsWithUs(process.execPath, args), {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  const url = await new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error(`${args.join(' ')} ended:\n${output}`)));
    const read = (line) => {
      output += `${line}\n`;
      const found = /listens on (http:\/\/\S+)/.exec(line)?.[1];
      if (found) resolve(found);
    };
    for (const input of [child.stdout, child.stderr]) createInterface({ input }).on('line', read);
  });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
  return { url, pid: child.pid, stop, output: () => output };
}

/**
 * The gateway as users start it, on a free port and a data folder of its own. `program`: one that calls the product's
 * `startGateway` itself, instead of the command line.
 * @param {string} dir
 * @param {object} config
 * @param {Record<string, string>} [env]
 * @param {{ program?: string, port?: number }} [options]
 */
export async function startGateway(dir, config, env = {}, { program: own, port = 0 } = {}) {
  const path = join(dir, 'bench.json');
  writeFileSync(path, JSON.stringify(config));
  const dataDir = join(dir, 'data');
  const program = own === undefined ? [join(ROOT, 'dist/src/cli.js'), 'serve'] : [own];
  const args = [...program, '-c', path, '--data-dir', dataDir, '--port', String(port)];
  const started = await startProgram(args, env);
  const token = readFileSync(join(dataDir, 'token'), 'utf8').trim();
  const api = async (method, route, body) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const response = await fetch(started.url + route, {
      method,
      headers,
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  return { ...started, api, dataDir };
}

/** wrk, closed loop, 64 connections. An answer of 400 or more ends the run: an error that is quick would look like speed. */
export async function load(url, { seconds, headers, body }) {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-wrk-'));
  const script = join(dir, 'post.lua');
  const lines = [
    'wrk.method = "POST"',
    `wrk.body = ${lua(body)}`,
    ...Object.entries(headers).map(([name, value]) => `wrk.headers[${lua(name)}] = ${lua(value)}`),
    'done = function(summary)',
    '  io.write(string.format("RESULT %d %d %d\\n", summary.requests, summary.duration, summary.errors.status))',
    'end',
  ];
  writeFileSync(script, lines.join('\n'));
  try {
    // Not the synchronous call: this process also answers for the issuer of the tokens.
    const { stdout: out } = await promisify(execFile)('wrk', [
      '-t1',
      '-c64',
      `-d${seconds}s`,
      '-s',
      script,
      url,
    ]);
    const [requests, micros, bad] = /RESULT (\d+) (\d+) (\d+)/.exec(out).slice(1).map(Number);
    if (bad > 0 || requests === 0) throw new Error(`${bad} of ${requests} answers were errors:\n${out}`);
    return { perSecond: requests / (micros / 1e6), requests };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const lua = (text) => JSON.stringify(text).replaceAll('\\u', '\\\\u');

/** Odd, so that as many lie below the median as above; many, since a machine that others share has loud half minutes. */
export const ROUNDS = 7;

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Measures two in turn, alternating which goes first; the first round is warm-up and does not count. */
export async function interleave(rounds, ours, floor) {
  const results = { ours: [], floor: [] };
  for (let round = 0; round <= rounds; round++) {
    const order = round % 2 === 0 ? ['ours', 'floor'] : ['floor', 'ours'];
    for (const who of order) {
      const value = await (who === 'ours' ? ours() : floor());
      if (round > 0) results[who].push(value);
    }
  }
  return results;
}
