import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  argsTotalProblem,
  ENV_TOTAL_MAX_BYTES,
  ENV_VALUE_MAX_BYTES,
  envBytes,
  envTotalProblem,
  envValueProblem,
  mergeEnv,
  refusedEnvName,
  refusedJobEnvName,
} from '../../src/core/env.ts';

const REFUSED =
  'CLOUD_RUN_TASK_INDEX K_SERVICE LD_PRELOAD LD_LIBRARY_PATH NODE_OPTIONS NODE_PATH PATH HOME SHELL IFS BASH_ENV ENV PS4 ' +
  'PYTHONPATH PYTHONSTARTUP PYTHONHOME PYTHONWARNINGS PERL5LIB PERL5OPT RUBYOPT RUBYLIB JAVA_TOOL_OPTIONS _JAVA_OPTIONS ' +
  'JDK_JAVA_OPTIONS DOTNET_STARTUP_HOOKS GIT_SSH_COMMAND GIT_EXEC_PATH SSL_CERT_FILE SSL_CERT_DIR HTTP_PROXY HTTPS_PROXY ' +
  'NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED CURL_CA_BUNDLE REQUESTS_CA_BUNDLE AWS_CA_BUNDLE SSL_DIR PYTHONUSERBASE ' +
  'PERLLIB PERL_UNICODE RUBYGEMS_GEMDEPS GEM_HOME BUNDLE_GEMFILE CLASSPATH MAVEN_OPTS CORECLR_PROFILER COR_PROFILER ' +
  'DOTNET_ROOT LUA_PATH PHPRC PHP_INI_SCAN_DIR OPENSSL_MODULES DYLD_INSERT_LIBRARIES SHELLOPTS BASHOPTS PROMPT_COMMAND ' +
  'ZDOTDIR npm_config_registry LESSOPEN LESSCLOSE TAR_OPTIONS RSYNC_RSH ' +
  'ALL_PROXY NO_PROXY OPENSSL_CONF GCONV_PATH GLIBC_TUNABLES MALLOC_CHECK_ X_GOOGLE_TARGET';
const ALLOWED =
  'OBJECT NAME GITHUB_SHA PATHS MY_PATH HOMEPAGE LDAP_URL KEY K8S ENVIRONMENT PYTHON PROXY NODE_ENV node_env NODE GIT RUBY COR SSL COLOR CORS_ORIGIN a.b-c _x';

describe('refusedEnvName', () => {
  it.each(REFUSED.split(' '))('refuses %s in any case', (name) => {
    expect(refusedEnvName(name)).toEqual(expect.any(String));
    expect(refusedEnvName(name.toLowerCase())).toEqual(expect.any(String));
  });

  it.each(ALLOWED.split(' '))('lets %s through', (name) => {
    expect(refusedEnvName(name)).toBeNull();
  });

  it.each(['', '1A', 'A B', 'A=B', 'A\0', 'Ä', 'BASH_FUNC_x%%', '-a', 'A'.repeat(257)])(
    'refuses %j: not a name',
    (name) => {
      expect(refusedEnvName(name)).toContain('not a name');
      expect(refusedJobEnvName(name)).toContain('not a name');
    },
  );

  it('lets the operator set what an event may not, except the names of the gateway', () => {
    expect(refusedJobEnvName('PATH')).toBeNull();
    expect(refusedJobEnvName('HTTPS_PROXY')).toBeNull();
    expect(refusedJobEnvName('CLOUD_RUN_JOB')).not.toBeNull();
    expect(refusedJobEnvName('x_google_anything')).not.toBeNull();
  });
});

describe('sizes', () => {
  it('counts a value in UTF-8', () => {
    expect(envValueProblem('x'.repeat(ENV_VALUE_MAX_BYTES))).toBeNull();
    expect(envValueProblem('x'.repeat(ENV_VALUE_MAX_BYTES + 1))).toContain('32,769 bytes');
    expect(envValueProblem('é'.repeat(ENV_VALUE_MAX_BYTES / 2 + 1))).not.toBeNull();
    expect(envValueProblem('a\0b')).toContain('NUL');
  });

  it('counts names, values, = and NUL of the whole', () => {
    expect(envBytes({ A: 'b', CD: '' })).toBe(4 + 4);
    const full = { A: 'x'.repeat(ENV_TOTAL_MAX_BYTES - 3) };
    expect(envTotalProblem(full)).toBeNull();
    expect(envTotalProblem({ ...full, B: '' })).toContain('98,307 bytes');
  });

  it('counts arguments as the kernel does: bytes, NUL and a pointer for each', () => {
    const full = Array.from({ length: 2 }, () => 'é'.repeat((512 * 1024 - 8) / 2 - 1) + 'x');
    expect(argsTotalProblem(full)).toBeNull();
    expect(argsTotalProblem([...full, ''])).toContain('1,048,585 bytes');
  });
});

describe('mergeEnv', () => {
  it('puts overrides over the job and changes neither', () => {
    const dict = fc.dictionary(fc.string({ maxLength: 4 }), fc.string());
    fc.assert(
      fc.property(dict, dict, (job, overrides) => {
        const before = JSON.stringify([job, overrides]);
        const merged = mergeEnv(job, overrides);
        for (const [name, value] of Object.entries(overrides)) expect(merged[name]).toBe(value);
        for (const [name, value] of Object.entries(job)) {
          if (!Object.hasOwn(overrides, name)) expect(merged[name]).toBe(value);
        }
        expect(new Set(Object.keys(merged))).toEqual(
          new Set([...Object.keys(job), ...Object.keys(overrides)]),
        );
        expect(JSON.stringify([job, overrides])).toBe(before);
      }),
      { numRuns: 100 },
    );
    expect(mergeEnv({ A: '1' }, undefined)).toEqual({ A: '1' });
  });
});
