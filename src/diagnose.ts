import { access, constants, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { errorText, isTappetError } from './core/errors.ts';
import { loadConfig } from './config/load.ts';
import { describeEndpoint, findEngine } from './runners/docker/find-engine.ts';

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
  const { config, dataDir } = await checkConfig(options);
  return [
    checkNode(),
    config,
    await checkDataDir(options.dataDir ?? dataDir),
    await checkEngine(options.env),
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
}: DiagnoseOptions): Promise<{ config: Diagnosis; dataDir: string }> {
  const name = 'config';
  if (configPath === undefined) {
    const fix = 'Name it with -c, or copy config.example.json to tappet.json.';
    return { config: { name, ok: false, detail: 'no configuration was found', fix }, dataDir: '.tappet' };
  }
  try {
    const { jobs, triggers, server } = await loadConfig(configPath, {
      env,
      ...(dataDir === undefined ? {} : { dataDir }),
    });
    const detail = `${configPath}: ${count(jobs.size, 'job')}, ${count(triggers.size, 'trigger')}`;
    return { config: { name, ok: true, detail }, dataDir: server.dataDir };
  } catch (error) {
    const detail = isTappetError(error) ? error.message : errorText(error);
    return {
      config: { name, ok: false, detail, fix: 'Mend these places and try again.' },
      dataDir: '.tappet',
    };
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
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
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
