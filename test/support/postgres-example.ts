import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { tmpdir } from 'node:os';
import { ensureImages, exampleImage } from '../../scripts/lib/images.mjs';
import { ensurePostgres } from '../../scripts/lib/postgres.mjs';
import type { JsonObject } from '../../src/core/json.ts';
import { engineHost } from './engine-host.ts';
import { GatewayProcess } from './gateway-process.ts';
import { testPostgres } from './postgres.ts';
import type { TestPostgres } from './postgres.ts';
import { expectShown, readmeCommands, runCommand } from './readme-commands.ts';
import type { ReadmeCommand } from './readme-commands.ts';

const ROOT = join(import.meta.dirname, '../..');
const CLI = join(ROOT, 'dist/src/cli.js');

interface Options {
  /** What its containers take for the database: a port at the same address. */
  readonly through?: (postgres: TestPostgres) => Promise<number>;
}

/** An example as it is written, with its image, a PostgreSQL and a gateway of its own, and its README to go through. */
export class PostgresExample {
  readonly postgres: TestPostgres;
  readonly gateway: GatewayProcess;
  /** A copy of the example's folder; the configuration in it may be changed. */
  readonly folder: string;
  /** Stands for `/srv/etl`. */
  readonly data: string;
  readonly #dir: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #commands: ReadmeCommand[];
  #printed = '';

  private constructor(
    parts: Pick<PostgresExample, 'postgres' | 'gateway' | 'folder' | 'data'>,
    more: { readonly dir: string; readonly env: NodeJS.ProcessEnv },
  ) {
    ({ postgres: this.postgres, gateway: this.gateway, folder: this.folder, data: this.data } = parts);
    this.#dir = more.dir;
    this.#env = more.env;
    this.#commands = readmeCommands(this.#ours(readFileSync(join(this.folder, 'README.md'), 'utf8')));
  }

  /** The gateway runs. */
  static async make(name: string, { through }: Options = {}): Promise<PostgresExample> {
    const host = await engineHost();
    await ensureImages(host, [exampleImage(name)]);
    const postgres = await testPostgres();
    const dir = realpathSync(mkdtempSync(join(tmpdir(), `tappet-${name}-`)));
    // A folder of configuration, under the name that the gateway is started with.
    const folder = join(dir, 'tappet.json');
    const data = join(dir, 'srv');
    mkdirSync(data);
    cpSync(join(ROOT, 'examples', name), folder, { recursive: true });
    const secret = { SHOP_PASSWORD: postgres.password };
    const gateway = new GatewayProcess({ dir, env: { DOCKER_HOST: host, ...secret } });
    const path = `${dirname(await psqlPath())}:${process.env['PATH'] ?? ''}`;
    const tappet = { NODE: process.execPath, TAPPET: CLI, TAPPET_DATA_DIR: gateway.dataDir };
    const env = { ...process.env, ...postgres.env, ...tappet, PATH: path };
    const example = new PostgresExample({ postgres, gateway, folder, data }, { dir, env });
    const port = (await through?.(postgres)) ?? postgres.port;
    example.#configure(postgres.host, port);
    await gateway.start();
    return example;
  }

  /** The addresses of this machine in the place of the reader's. */
  #ours(text: string): string {
    return text.replaceAll('/srv/etl', this.data);
  }

  #configure(host: string, port: number): void {
    const file = join(this.folder, 'tappet.yaml');
    const text = this.#ours(readFileSync(file, 'utf8'))
      .replace('172.17.0.1', host)
      .replace('5432', String(port));
    writeFileSync(file, text);
  }

  /** Runs the next command of the README, which must begin so, and compares what it prints with what is shown there. */
  async next(beginning: string): Promise<{ readonly code: number; readonly output: string }> {
    const command = this.#commands.shift();
    if (command?.line.startsWith(beginning) !== true)
      throw new Error(`the README goes on with: ${command?.line ?? 'nothing'}\nand not with: ${beginning}`);
    const ran = await runCommand(command.line, { cwd: this.folder, env: this.#env });
    this.#printed += ran.output;
    expectShown(command, ran.output);
    return ran;
  }

  /** Commands of the README that were not run. */
  left(): string[] {
    return this.#commands.map(({ line }) => line);
  }

  async get(path: string): Promise<JsonObject> {
    const answer = await this.gateway.api('GET', `/api/v1/${path}`);
    if (answer.status !== 200) throw new Error(`GET ${path}: ${answer.status} ${answer.text}`);
    return answer.json();
  }

  /** The newest execution. */
  async latest(): Promise<JsonObject> {
    const [execution] = (await this.get('executions?pageSize=1'))['executions'] as JsonObject[];
    if (execution === undefined) throw new Error('there is no execution');
    return execution;
  }

  /** Where the password of the database stands among all that was printed, logged and answered; all of it is there. */
  async leaks(): Promise<string[]> {
    const executions = await this.gateway.list('/api/v1/executions', 'executions');
    const logs = executions.map(async ({ name }) => {
      const { status, text } = await this.gateway.api('GET', `/api/v1/executions/${String(name)}/logs`);
      if (status !== 200 || text === '') throw new Error(`no log of ${String(name)}: ${status} ${text}`);
      return [`log of ${String(name)}`, text] as const;
    });
    const places = [
      ...(await Promise.all(logs)),
      ['output of the gateway', this.gateway.output],
      ['output of the commands', this.#printed],
      ['executions', JSON.stringify(executions)],
      ['job', JSON.stringify(await this.get('jobs'))],
    ] as const;
    return places.flatMap(([place, text]) => (text.includes(this.postgres.password) ? [place] : []));
  }

  async close(): Promise<void> {
    await this.gateway.stop();
    await this.postgres.close();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

const psqlPath = async (): Promise<string> => join(await ensurePostgres(), 'psql');
