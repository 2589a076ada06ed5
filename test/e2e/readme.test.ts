import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const ROOT = join(import.meta.dirname, '../..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const CONFIG = JSON.parse(/^```json\n(.*?)^```$/ms.exec(README)?.[1] ?? '{}') as JsonObject;
/** `serve` is what runs while the others are tried. */
const COMMANDS = [...README.matchAll(/^\$ npx tappet (.*)$/gm)].map(([, line = '']) => line);

describe('what the README says', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-readme-'));
  const env = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };
  const gateway = new GatewayProcess({ dir, config: CONFIG, env });

  beforeAll(() => gateway.start());
  afterAll(async () => {
    await gateway.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  it('begins with the two commands that set everything up, which CI runs', () => {
    const first = README.split('\n').slice(0, 40).join('\n');
    expect(first.match(/^\$ .*$/gm)).toEqual(['$ npm run demo -- --once', '$ npm test']);
    const ci = readFileSync(join(ROOT, '.ci/run'), 'utf8');
    expect(ci).toMatch(/npm run (--silent )?demo -- --once/);
    expect(ci).toMatch(/npm test/);
  });

  it('has commands', () => expect(COMMANDS.length).toBeGreaterThanOrEqual(4));

  it.each(COMMANDS.filter((line) => !line.startsWith('serve')))('npx tappet %s', async (line) => {
    // The built program itself, so that its executable bit counts too.
    const program = join(ROOT, 'dist/src/cli.js');
    const options = { cwd: dir, env: { ...process.env, ...env, TAPPET_DATA_DIR: gateway.dataDir } };
    const code = await new Promise((resolve) => {
      execFile(program, line.split(' '), options, (error, _out, stderr) =>
        resolve(error === null ? 0 : stderr),
      );
    });
    expect(code).toBe(0);
  });
});
