import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

/** Each npm script that needs an engine, with arguments that keep it short should it go on after all. */
const WITH_ENGINE = {
  demo: ['--once'],
  test: ['--project', 'unit', 'test/lib/size.test.ts'],
  bench: ['cron-10000'],
};
const WITHOUT_ENGINE = { build: [], schema: ['--check'] };
/** Run whole by `.ci/run`; what they run, static checks and the projects unit, contract and sim, opens no engine. */
const CHECKS = ['check', 'graph', 'sim'];
/** Starts the script of `test` for each of its rows that needs an engine, and has no set-up of its own beside the tools. */
const BY_TEST = ['test:chaos'];
/** Take minutes, bring their tools, and open no engine. */
const BY_HAND = ['test:load', 'test:mutation'];

function npm(script: string, args: readonly string[]) {
  const env = { ...process.env, DOCKER_HOST: 'unix:///nowhere/docker.sock' };
  const command = ['run', '--silent', script, '--', ...args];
  return spawnSync('npm', command, { cwd: ROOT, env, encoding: 'utf8', timeout: 50_000 });
}

describe('without an engine', () => {
  it('every npm script is one that needs an engine, or one that does not', () => {
    const others = [...CHECKS, ...BY_TEST, ...BY_HAND];
    const known = [...Object.keys(WITH_ENGINE), ...Object.keys(WITHOUT_ENGINE), ...others];
    expect(known.toSorted()).toEqual(Object.keys(scripts).toSorted());
  });

  it.each(Object.entries(WITH_ENGINE))(
    'npm run %s ends in the set-up, before anything else',
    (script, args) => {
      const { status, stdout, stderr } = npm(script, args);
      expect(stderr).toContain(
        'The engine that DOCKER_HOST names cannot be used:\n  DOCKER_HOST=unix:///nowhere',
      );
      expect(stdout).toBe('');
      expect(status).toBe(1);
    },
  );

  it.each(Object.entries(WITHOUT_ENGINE))('npm run %s does its work', (script, args) => {
    expect(npm(script, args)).toMatchObject({ status: 0 });
  });
});
