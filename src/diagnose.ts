import { access, constants, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { errorText, isTappetError } from './core/errors.ts';
import { loadConfig, type LoadedConfig } from './config/load.ts';
import { SystemClock } from './lib/system-clock.ts';
import { createObjects } from './objects/objects.ts';
import { createSecrets } from './secrets/secret-reader.ts';
import { SecretStore } from './secrets/secret-store.ts';
import { describeEndpoint, findEngine } from './runners/docker/find-engine.ts';
import { hasCode } from './lib/has-code.ts';

export interface Diagnosis {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly fix?: string;
}
export interface DiagnoseOptions {
  readonly configPath?: string;
  readonly dataDir?: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Checks what a gateway on this machine needs; never throws for what it finds. */
export async function diagnose(options: DiagnoseOptions): Promise<Diagnosis[]> {
  const { config, loaded } = await checkConfig(options);
  return [
    checkNode(),
    config,
    await checkDataDir(options.dataDir ?? loaded?.server.dataDir ?? '.tappet'),
    await checkEngine(options.env),
    ...(loaded === undefined ? [] : await checkBuckets(loaded, options.env)),
  ];
}

function checkNode(): Diagnosis {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  return {
    name: 'node',
    ok,
    detail: `version ${process.versions.node}`,
    fix: 'Install Node 20.19 or newer.',
  };
}

async function checkConfig({
  configPath,
  dataDir,
  env,
}: DiagnoseOptions): Promise<{ config: Diagnosis; loaded?: LoadedConfig }> {
  const name = 'config';
  if (configPath === undefined) {
    const fix = 'Name it with -c, or copy config.example.json to tappet.json.';
    return { config: { name, ok: false, detail: 'no configuration was found', fix } };
  }
  try {
    const loaded = await loadConfig(configPath, { env, dataDir });
    const { jobs, triggers } = loaded;
    const detail = `${configPath}: ${count(jobs.size, 'job')}, ${count(triggers.size, 'trigger')}`;
    return { config: { name, ok: true, detail }, loaded };
  } catch (error) {
    const detail = isTappetError(error) ? error.message : errorText(error);
    return { config: { name, ok: false, detail, fix: 'Mend these places and try again.' } };
  }
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

async function checkDataDir(dataDir: string): Promise<Diagnosis> {
  const path = resolve(dataDir);
  const name = 'data folder';
  try {
    if (!(await stat(path)).isDirectory()) {
      return {
        name,
        ok: false,
        detail: `${path} is not a folder`,
        fix: 'Move it away, or use another --data-dir.',
      };
    }
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return { name, ok: true, detail: `${path} can be written` };
  } catch (error) {
    if (hasCode(error, 'ENOENT')) {
      return { name, ok: true, detail: `${path} does not exist yet; the first start makes it` };
    }
    return {
      name,
      ok: false,
      detail: errorText(error),
      fix: `Make ${path} readable and writable for this user.`,
    };
  }
}

async function checkEngine(env: NodeJS.ProcessEnv): Promise<Diagnosis> {
  const name = 'engine';
  const found = await findEngine({ env });
  if (found.found) {
    const detail = `${found.kind === 'podman' ? 'Podman' : 'Docker'} ${found.version} at ${describeEndpoint(found.endpoint)}`;
    return { name, ok: true, detail };
  }
  const detail = `none answers: ${found.tried.map(({ place, why }) => `${place}: ${why}`).join('; ')}.`;
  return { name, ok: false, detail, fix: 'Start Docker or Podman, or set DOCKER_HOST to where one listens.' };
}

/** A store that does not answer is given up after this; the gateway itself goes on trying. */
const STORE_MS = 10_000;

/** Whether each bucket that a trigger listens to can be listed, as the gateway will do. */
async function checkBuckets(config: LoadedConfig, env: NodeJS.ProcessEnv): Promise<Diagnosis[]> {
  const places = new Map<string, { connection: string; bucket: string }>();
  for (const { source } of config.triggers.values()) {
    if (source.kind === 'storage') places.set(`${source.connection}/${source.bucket}`, source);
  }
  if (places.size === 0) return [];
  const store = new SecretStore({ dataDir: config.server.dataDir, env });
  const secrets = createSecrets({ env, baseDir: config.folder, store });
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const objects = createObjects({ connections: config.connections, secrets, clock: new SystemClock(), log });
  try {
    return await Promise.all(
      [...places].map(async ([place, { connection, bucket }]) => {
        const name = `bucket ${place}`;
        try {
          const signal = AbortSignal.timeout(STORE_MS);
          await objects.connection(connection)?.list(bucket, { prefix: '', signal });
          return { name, ok: true, detail: 'can be listed' };
        } catch (error) {
          return { name, ok: false, detail: bucketProblem(error), ...fixOf(error) };
        }
      }),
    );
  } finally {
    objects.close();
  }
}

const bucketProblem = (error: unknown): string =>
  isTappetError(error) ? error.message : `the store did not answer within ${STORE_MS / 1000} s`;

const fixOf = (error: unknown): { fix: string } =>
  isTappetError(error) && error.fields.fix !== undefined
    ? { fix: error.fields.fix }
    : { fix: 'See that the store runs and that "endpoint" is right.' };
