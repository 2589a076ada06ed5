import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { HOSTILE_VALUES } from '../support/hostile-values.ts';

/** What changes which program is loaded, how, or with which trust: the names that other tools were attacked by. */
const NAMES =
  'LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT LD_DEBUG LD_BIND_NOW DYLD_INSERT_LIBRARIES GCONV_PATH GLIBC_TUNABLES MALLOC_CHECK_ ' +
  'PATH HOME SHELL IFS ENV BASH_ENV PS4 SHELLOPTS BASHOPTS PROMPT_COMMAND ZDOTDIR NODE_OPTIONS NODE_PATH ' +
  'NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED PYTHONPATH PYTHONSTARTUP PYTHONHOME PYTHONWARNINGS PYTHONINSPECT ' +
  'PERL5LIB PERL5OPT PERL5DB PERLLIB RUBYOPT RUBYLIB GEM_HOME GEM_PATH BUNDLE_GEMFILE CLASSPATH JAVA_TOOL_OPTIONS ' +
  '_JAVA_OPTIONS JDK_JAVA_OPTIONS MAVEN_OPTS DOTNET_STARTUP_HOOKS CORECLR_PROFILER COR_PROFILER LUA_PATH LUA_INIT PHPRC ' +
  'PHP_INI_SCAN_DIR GIT_SSH_COMMAND GIT_EXEC_PATH GIT_EXTERNAL_DIFF NPM_CONFIG_SCRIPT_SHELL LESSOPEN TAR_OPTIONS RSYNC_RSH ' +
  'SSL_CERT_FILE SSL_CERT_DIR OPENSSL_CONF CURL_CA_BUNDLE HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY CLOUD_RUN_TASK_INDEX ' +
  'CLOUD_RUN_EXECUTION K_SERVICE X_GOOGLE_TARGET';
const casings = (name: string): string[] => [
  name,
  name.toLowerCase(),
  name.toLowerCase().replaceAll(/(.)(.)/g, (_, a: string, b: string) => `${a.toUpperCase()}${b}`),
];

const field = (i: number): string => `v${String(i).padStart(2, '0')}`;
const envName = (i: number): string => `VALUE_${String(i).padStart(2, '0')}`;

/** What every container has, whoever calls. */
const OWN = [
  'CLOUD_RUN_EXECUTION',
  'CLOUD_RUN_JOB',
  'CLOUD_RUN_TASK_ATTEMPT',
  'CLOUD_RUN_TASK_COUNT',
  'CLOUD_RUN_TASK_INDEX',
  'HOME',
  'HOSTNAME',
  'PATH',
];

const CONFIG: JsonObject = {
  jobs: {
    // Byte for byte, so that nothing between the process and the test can change or hide any of it.
    print: {
      image: TEST_IMAGE,
      command: ['/bin/sh', '-c', 'base64 < /proc/self/environ; [ -e /tmp/owned ] && echo owned; exit 0'],
      timeout: '1m',
      memory: '64Mi',
      maxRetries: 0,
    },
  },
  triggers: {
    call: {
      source: { kind: 'webhook', auth: 'none' },
      run: {
        job: 'print',
        env: Object.fromEntries(HOSTILE_VALUES.map((_, i) => [envName(i), `\${{ event.data.${field(i)} }}`])),
      },
    },
  },
};

describe('the environment of a container', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-env-'));
  let gateway: GatewayProcess;
  beforeAll(async () => {
    gateway = new GatewayProcess({ dir, config: CONFIG, env: { DOCKER_HOST: await engineHost() } });
    await gateway.start();
  });
  afterAll(async () => {
    await gateway.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  /** The sender's own event is a stranger's: what it names beside the mapping's fields must not come through. */
  const call = async (data: JsonObject): Promise<JsonObject> => {
    const response = await fetch(`${gateway.url}/hooks/call`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(data),
    });
    return (await response.json()) as JsonObject;
  };

  const environment = async (execution: string): Promise<Map<string, string>> => {
    const ended = await gateway.until(
      `/api/v1/executions/${execution}`,
      (e) => (e['completionTime'] === null ? undefined : e),
      50_000,
    );
    expect(ended).toMatchObject({ state: 'SUCCEEDED' });
    const { text } = await gateway.api('GET', `/api/v1/executions/${execution}/tasks/0/logs`);
    expect(text).not.toContain('owned');
    const entries = Buffer.from(text, 'base64').toString().split('\0').filter(Boolean);
    return new Map(
      entries.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
    );
  };

  const executions = (): Promise<JsonObject[]> => gateway.list('/api/v1/executions', 'executions');

  it.each(NAMES.split(' '))('cannot be given %s by a caller of the API, in any case', async (name) => {
    for (const spelled of casings(name)) {
      const answer = await gateway.api('POST', '/api/v1/jobs/print:run', {
        overrides: { env: { [spelled]: 'x' } },
      });
      expect({ spelled, status: answer.status }).toEqual({ spelled, status: 400 });
      expect(answer.json()).toMatchObject({ errors: [{ path: `overrides.env.${spelled}` }] });
    }
  });

  it(`has ${HOSTILE_VALUES.length} values of an event as they were sent, and nothing that was not declared`, async () => {
    expect(NAMES.split(' ').length).toBeGreaterThanOrEqual(60);
    expect(await executions()).toEqual([]);
    const more = {
      LD_PRELOAD: '/x.so',
      env: { EXTRA: 'x' },
      environment: ['EXTRA=x'],
      overrides: { env: { EXTRA: 'x' } },
    };
    const data = Object.fromEntries(HOSTILE_VALUES.map((value, i) => [field(i), value]));
    await call({ ...more, ...data });
    const name = await gateway.until('/api/v1/executions', (answer) => {
      const [first] = answer['executions'] as JsonObject[];
      return first === undefined ? undefined : String(first['name']);
    });
    const found = await environment(name);
    for (const [i, value] of HOSTILE_VALUES.entries())
      expect({ i, value: found.get(envName(i)) }).toEqual({ i, value });
    expect([...found.keys()].filter((key) => !key.startsWith('VALUE_')).sort()).toEqual(OWN);
  });
});
