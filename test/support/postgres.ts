import { execFile, execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  chownSync,
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ensurePostgres } from '../../scripts/lib/postgres.mjs';
import { engineRequest, testEngine } from './engine.ts';

const READY_MS = 30_000;
/** The database, and the role that owns it and may nothing else. */
const SHOP = 'shop';

/** A PostgreSQL of a test's own, with one empty database: gone at `close`. */
export interface TestPostgres {
  /** Where containers reach it. */
  readonly host: string;
  readonly port: number;
  readonly password: string;
  /** The variables by which psql finds it. */
  readonly env: Readonly<Record<string, string>>;
  /** Rows as psql prints them: a line each, `|` between the columns. Errors: psql's own words. */
  query(sql: string): Promise<string>;
  /** Runs `sql` in a transaction that stays open, with its locks, until it is released. */
  hold(sql: string): Promise<{ release(): Promise<void> }>;
  close(): Promise<void>;
}

/** Debian's own server, for one test file: start it in `beforeAll`, close it in `afterAll`. */
export async function testPostgres(): Promise<TestPostgres> {
  const bin = await ensurePostgres();
  const psql = join(bin, 'psql');
  const dir = mkdtempSync(join(tmpdir(), 'tappet-postgres-'));
  const [admin, password] = [randomPassword(), randomPassword()];
  const host = await bridgeAddress();
  const port = await freePort(host);
  initialise(bin, dir, admin);
  appendFileSync(join(dir, 'data/postgresql.conf'), serverSettings(host, port));
  const server = startServer(bin, dir);
  const at = { PGHOST: host, PGPORT: String(port), PGCONNECT_TIMEOUT: '10' };
  const asAdmin = { ...at, PGUSER: 'postgres', PGDATABASE: 'postgres', PGPASSWORD: admin };
  await untilReady(server, () => runPsql(psql, asAdmin, ['SELECT 1']), join(dir, 'log'));
  const role = `CREATE ROLE ${SHOP} LOGIN PASSWORD '${password}'`;
  await runPsql(psql, asAdmin, [role, `CREATE DATABASE ${SHOP} OWNER ${SHOP}`]);
  const env = { ...at, PGUSER: SHOP, PGDATABASE: SHOP, PGPASSWORD: password };
  return {
    host,
    port,
    password,
    env,
    query: (sql) => runPsql(psql, env, [sql]),
    hold: (sql) => hold(psql, env, sql),
    close: async () => {
      // SIGINT: the server throws its clients out.
      await end(server, 'SIGINT');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

const randomPassword = (): string => `p-${randomBytes(12).toString('hex')}`;

/** Root may not run it: then it runs as the user that Debian's package has made. */
function owner(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (which: string) => Number(execFileSync('id', [which, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

function initialise(bin: string, dir: string, admin: string): void {
  const { uid, gid } = owner();
  const file = join(dir, 'password');
  writeFileSync(file, admin, { mode: 0o600 });
  if (uid !== undefined && gid !== undefined) for (const path of [dir, file]) chownSync(path, uid, gid);
  const args = ['-D', join(dir, 'data'), '-U', 'postgres', `--pwfile=${file}`, '-A', 'scram-sha-256'];
  const quick = ['--no-sync', '--no-instructions', '--locale=C.UTF-8', '--encoding=UTF8'];
  execFileSync(join(bin, 'initdb'), [...args, ...quick], { ...owner(), cwd: dir, stdio: 'pipe' });
  rmSync(file);
  appendFileSync(join(dir, 'data/pg_hba.conf'), 'host all all 0.0.0.0/0 scram-sha-256\n');
}

/** Of one that is thrown away: nothing has to outlive a power cut. */
const serverSettings = (host: string, port: number): string =>
  [
    `listen_addresses = '${host}'`,
    `port = ${port}`,
    "unix_socket_directories = ''",
    'fsync = off',
    'shared_buffers = 32MB',
    'dynamic_shared_memory_type = mmap',
    '',
  ].join('\n');

function startServer(bin: string, dir: string): ChildProcess {
  const out = openSync(join(dir, 'log'), 'a');
  // The kernel ends it with us, however we end.
  const args = ['--pdeathsig', 'INT', '--', join(bin, 'postgres'), '-D', join(dir, 'data')];
  const server = spawn('setpriv', args, { ...owner(), cwd: dir, stdio: ['ignore', out, out] });
  closeSync(out);
  return server;
}

async function untilReady(server: ChildProcess, ask: () => Promise<unknown>, log: string): Promise<void> {
  let trouble: unknown;
  const until = Date.now() + READY_MS;
  while (Date.now() < until && server.exitCode === null && server.signalCode === null) {
    try {
      await ask();
      return;
    } catch (error) {
      trouble = error;
      await setTimeout(50);
    }
  }
  await end(server, 'SIGQUIT');
  throw new Error(`PostgreSQL does not serve. It says:\n${readFileSync(log, 'utf8')}`, { cause: trouble });
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

// ---- clients -------------------------------------------------------------------------------------------------------

/** Each in a transaction of its own. */
async function runPsql(
  psql: string,
  env: Readonly<Record<string, string>>,
  statements: readonly string[],
): Promise<string> {
  const args = ['-XqAt', '-v', 'ON_ERROR_STOP=1', ...statements.flatMap((sql) => ['-c', sql])];
  const { stdout } = await promisify(execFile)(psql, args, { env: { ...process.env, ...env } });
  return stdout.trimEnd();
}

async function hold(
  psql: string,
  env: Readonly<Record<string, string>>,
  sql: string,
): Promise<{ release(): Promise<void> }> {
  const child = spawn(psql, ['-Xq', '-v', 'ON_ERROR_STOP=1'], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.write(`BEGIN;\n${sql};\n\\echo held\n`);
  // Its output ends without a line where the statement failed.
  const [first] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as [unknown];
  if (!Buffer.isBuffer(first)) throw new Error(`psql could not hold: ${sql}`);
  return {
    release: async () => {
      const ended = once(child, 'exit');
      child.stdin.end('ROLLBACK;\n');
      await ended;
    },
  };
}

// ---- where ---------------------------------------------------------------------------------------------------------

/** An address of this machine that its containers reach: that of the engine's bridge, where it is here. */
async function bridgeAddress(): Promise<string> {
  const here = Object.values(networkInterfaces()).flatMap((addresses = []) =>
    addresses.flatMap(({ family, internal, address }) => (family === 'IPv4' && !internal ? [address] : [])),
  );
  const { body } = await engineRequest(await testEngine(), 'GET', '/v1.41/networks/bridge');
  const named = [...body.matchAll(/"Gateway":\s*"([^"]+)"/g)].map(([, address = '']) => address);
  const address = named.find((one) => here.includes(one)) ?? here[0];
  if (address === undefined) throw new Error('This machine has no address that a container could reach.');
  return address;
}

async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
