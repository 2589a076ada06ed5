import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeClone } from '../../../scripts/lib/clone.mjs';
import { callEngine, pingEngine } from '../../../scripts/lib/engine-api.mjs';
import { DEMO_IMAGE, ensureImages } from '../../../scripts/lib/images.mjs';
import { leavePrivateEngine, startPrivateEngine } from '../../../scripts/lib/private-engine.mjs';
import { engineTraces } from '../../support/clone-traces.ts';

const able = process.getuid?.() === 0;

describe.skipIf(!able)(`the private engine${able ? '' : ' [needs root]'}`, () => {
  let one: ReturnType<typeof describeClone>;
  let other: ReturnType<typeof describeClone>;

  beforeAll(async () => {
    one = describeClone(await mkdtemp(join(tmpdir(), 'engine-one-')));
    other = describeClone(await mkdtemp(join(tmpdir(), 'engine-other-')));
  });
  afterAll(async () => {
    for (const clone of [one, other]) {
      await leavePrivateEngine(clone);
      await rm(clone.root, { recursive: true, force: true });
    }
  });

  it('stands beside the one of another clone, and leaves nothing behind', async () => {
    const hosts = [await startPrivateEngine(one), await startPrivateEngine(other)];
    expect(new Set(hosts).size).toBe(2);
    for (const host of hosts) {
      await ensureImages(host, [DEMO_IMAGE]);
      await runSleeper(host);
    }
    await leavePrivateEngine(one);
    expect(engineTraces(one)).toEqual([]);
    expect(await pingEngine(hosts[1] ?? '')).toBeDefined();
    await leavePrivateEngine(other);
    expect(engineTraces(other)).toEqual([]);
  });

  it('is tidied away after its command and itself were killed, and starts again with its images', async () => {
    const child = startElsewhere(one.root);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const host = line.toString().trim();
    await runSleeper(host);
    const daemon = spawnSync('cat', [join(one.tempDir, 'docker.pid')], { encoding: 'utf8' }).stdout;
    process.kill(Number(daemon), 'SIGKILL');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(engineTraces(one)).not.toEqual([]);
    expect(await startPrivateEngine(one)).toBe(host);
    const version = await pingEngine(host);
    expect((await callEngine(host, `${version}/images/${DEMO_IMAGE}/json`)).status).toBe(200);
    await leavePrivateEngine(one);
    expect(engineTraces(one)).toEqual([]);
  });
});

/** A command of that clone in a process of its own: prints the engine's address, then goes on until it is killed. */
function startElsewhere(root: string) {
  const scripts = join(import.meta.dirname, '../../../scripts/lib');
  const program = `
    import { describeClone } from '${scripts}/clone.mjs';
    import { startPrivateEngine } from '${scripts}/private-engine.mjs';
    console.log(await startPrivateEngine(describeClone('${root}')));
    setInterval(() => {}, 60_000);`;
  return spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

async function runSleeper(host: string): Promise<void> {
  const version = await pingEngine(host);
  const body = { Image: DEMO_IMAGE, Cmd: ['sleep', '3600'] };
  const created = await callEngine(host, `${version}/containers/create`, { method: 'POST', body });
  const { Id } = JSON.parse(created.text) as { Id: string };
  const started = await callEngine(host, `${version}/containers/${Id}/start`, { method: 'POST' });
  expect(started.status).toBe(204);
}
