import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tempFolder } from '../support/temp-folder.ts';

const CI = join(import.meta.dirname, '../../.ci/run');

/** Runs the real .ci/run in a folder of its own, with an npm that only says its lines. */
function runCi(npm: string, env: Record<string, string> = {}) {
  const dir = tempFolder();
  for (const folder of ['.ci', 'bin']) mkdirSync(join(dir, folder));
  copyFileSync(CI, join(dir, '.ci/run'));
  const program = join(dir, 'bin/npm');
  writeFileSync(program, `#!/bin/sh\necho "npm $*"\n${npm}\n`);
  chmodSync(program, 0o755);
  const { PATH = '' } = process.env;
  const { status, stdout, stderr } = spawnSync('bash', [join(dir, '.ci/run')], {
    env: { PATH: `${join(dir, 'bin')}:${PATH}`, ...env },
    encoding: 'utf8',
  });
  return { status, lines: stdout.trim().split('\n'), stderr };
}

const COUNT = 'tests: 7 passed, 0 failed, 0 skipped';
const npm = (more = ''): string => `[ "$1" = test ] && echo "${COUNT}"\n${more}\ntrue`;

describe('.ci/run', () => {
  it('runs check, test, a share of the chaos and the demo with each store, and ends with the count of the tests', () => {
    const { status, lines } = runCi(npm());
    expect(status).toBe(0);
    expect(lines.filter((line) => line.startsWith('npm '))).toEqual([
      'npm run --silent check',
      'npm test --silent',
      'npm run --silent test:chaos -- --minutes 5 --fresh',
      'npm run --silent demo -- --once --store minio',
      'npm run --silent demo -- --once --store seaweedfs',
    ]);
    expect(lines.at(-2)).toMatch(/^ci: set-up took 0 s of 480, everything \d+ s of 2700$/);
    expect(lines.at(-1)).toBe(COUNT);
  });

  it.each(['run', 'test'])('fails at once where `npm %s` fails', (word) => {
    const { status, lines } = runCi(`[ "$1" = ${word} ] && exit 3\n${npm()}`);
    expect(status).not.toBe(0);
    expect(lines.at(-1)).toMatch(new RegExp(`^npm ${word}`));
  });

  it('passes on what the commands say, and adds up what they say of their set-up', () => {
    const { status, lines, stderr } = runCi(npm('echo "set-up: … done after 120.9 s" >&2'));
    expect(status).toBe(0);
    expect(stderr.match(/done after/g)).toHaveLength(5);
    expect(lines.at(-2)).toContain('set-up took 600 s of 480');
  });

  it('says so where the set-up took more than 8 minutes', () => {
    const { status, stderr } = runCi(npm('echo "set-up: … done after 97.2 s" >&2'));
    expect(status).toBe(0);
    expect(stderr).toContain('ci: set-up over budget');
  });

  it('fails where everything took more than 45 minutes', () => {
    // The shell goes on counting from here.
    expect(runCi(npm(), { SECONDS: '2600' }).status).toBe(0);
    const { status, stderr } = runCi(npm(), { SECONDS: '2701' });
    expect(status).toBe(1);
    expect(stderr).toContain('ci: over budget');
  });
});
