import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MIB } from '../../src/core/job.ts';
import type { ContainerSpec, Runner, StagedFile } from '../../src/core/runner.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { DockerRunner } from '../../src/runners/docker/docker-runner.ts';
import { scriptSpec } from '../support/container-specs.ts';
import { engineRequest, importImage, testEngine, testImage } from '../support/engine.ts';
import { failure } from '../support/fake-engine-runner.ts';
import { FakeLog } from '../support/fake-log.ts';
import { MemoryLogWriter } from '../support/memory-log-writer.ts';
import { collect, fileOf, filesOf } from '../support/staged-files.ts';

const SIZE = 256 * MIB;
/** What may be in memory of a transfer beside what the process had: buffers of both ends, and what is not collected yet. */
const ROOM = 96 * MIB;
/** With a folder and a link in it, to put files into. */
const LINKED = 'tappet-test/linked:1';
const instance = `tpt-${randomBytes(4).toString('hex')}`;

let runner: Runner;
let specOf: (script: string, more?: Partial<ContainerSpec>) => ContainerSpec;
beforeAll(async () => {
  const endpoint = await testEngine();
  const log = new FakeLog();
  const clock = new SystemClock();
  runner = new DockerRunner({ endpoint, engine: 'test', instance, network: instance, clock, log });
  const image = await testImage(endpoint);
  await importImage(endpoint, LINKED, { 'srv/kept.txt': 'kept\n' });
  const { digest } = await runner.prepare(image);
  specOf = (script, more) => scriptSpec({ instance, image, digest }, script, more);
}, 60_000);
afterAll(async () => {
  for (const { name } of await runner.list()) await runner.remove(name);
  await engineRequest(await testEngine(), 'DELETE', `/v1.41/networks/${instance}`);
});

async function runToEnd(spec: ContainerSpec, files: () => AsyncIterable<StagedFile>): Promise<string> {
  const log = new MemoryLogWriter();
  const ensured = await runner.ensure(spec, log, { files });
  if (ensured.outcome !== 'started') throw new Error('not started');
  await ensured.captured;
  return log.text('stdout');
}

/** The highest memory of this process while it is looked at. */
class Memory {
  readonly before = process.memoryUsage.rss();
  top = this.before;
  look(): void {
    this.top = Math.max(this.top, process.memoryUsage.rss());
  }
  get more(): number {
    return this.top - this.before;
  }
}

describe('a large file', { timeout: 120_000 }, () => {
  it('goes in and comes out again byte for byte, in constant memory', async () => {
    const spec = specOf('sha256sum /in/large; mv /in/large /out');
    const sent = createHash('sha256');
    const block = randomBytes(MIB);
    const memory = new Memory();
    const body = async function* (): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < SIZE / MIB; i++) {
        block.writeUInt32LE(i);
        const chunk = Buffer.from(block);
        sent.update(chunk);
        memory.look();
        yield chunk;
      }
    };
    const output = await runToEnd(spec, () => filesOf([{ to: '/in/large', size: SIZE, body: body() }]));
    const sum = sent.digest('hex');
    expect(output).toBe(`${sum}  /in/large\n`);

    const got = createHash('sha256');
    let bytes = 0;
    for await (const file of runner.outputs(spec.name, '/out')) {
      expect(file).toMatchObject({ path: '', size: SIZE });
      for await (const chunk of file.body) {
        bytes += chunk.length;
        got.update(chunk);
        memory.look();
      }
    }
    expect(bytes).toBe(SIZE);
    expect(got.digest('hex')).toBe(sum);
    expect(memory.more).toBeLessThan(ROOM);
    await runner.remove(spec.name);
  });

  it('is read only as fast as the engine takes it, and leaves nothing where it breaks off in the middle', async () => {
    const spec = specOf('true');
    const broken = new Error('the connection to the object store broke');
    const memory = new Memory();
    const body = async function* (): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < SIZE / MIB / 2; i++) {
        memory.look();
        yield Buffer.alloc(MIB, i);
      }
      throw broken;
    };
    const files = () => filesOf([{ to: '/in/large', size: SIZE, body: body() }]);
    expect(await failure(runner.ensure(spec, new MemoryLogWriter(), { files }))).toBe(broken);
    expect(await runner.inspect(spec.name)).toEqual({ state: 'missing' });
    expect(memory.more).toBeLessThan(ROOM);
  });
});

// Docker answers nothing about a container while its files move: whatever else is asked must not wait for that.
describe('while files move', { timeout: 60_000 }, () => {
  const others = async () => {
    const spec = specOf('echo other');
    expect(await runToEnd(spec, () => filesOf([fileOf('/in/x', 'x')]))).toBe('other\n');
    expect((await runner.list()).map(({ name }) => name)).toContain(spec.name);
    await runner.capabilities();
    await runner.remove(spec.name);
  };

  it('into a container, the engine answers for all others, and a cancel ends it at once', async () => {
    const spec = specOf('true');
    const controller = new AbortController();
    const cancelled = new Error('cancelled');
    const moving = deferred<void>();
    const body = async function* (): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 8; i++) yield Buffer.alloc(MIB, i);
      moving.resolve();
      await new Promise(() => undefined);
    };
    const files = () => filesOf([{ to: '/in/slow', size: SIZE, body: body() }]);
    const options = { files, signal: controller.signal };
    const failed = failure(runner.ensure(spec, new MemoryLogWriter(), options));
    await moving.promise;
    await others();
    controller.abort(cancelled);
    expect(await failed).toBe(cancelled);
    expect(await runner.inspect(spec.name)).toEqual({ state: 'missing' });
  });

  it('out of a container, the engine answers for all others, and of this one once nobody reads', async () => {
    const spec = specOf('head -c 64000000 /dev/zero > /out');
    await runToEnd(spec, () => filesOf([]));
    for await (const { body } of runner.outputs(spec.name, '/out')) {
      for await (const _ of body) {
        await others();
        break;
      }
      break;
    }
    expect(await runner.inspect(spec.name)).toMatchObject({ state: 'exited', exit: { exitCode: 0 } });
    await runner.remove(spec.name);
  });
});

describe('the places of files', { timeout: 60_000 }, () => {
  it('keep what the image has beside them', async () => {
    const { digest } = await runner.prepare(LINKED);
    const spec = specOf('cat /srv/*; ls /srv', { image: LINKED, digest });
    const files = () => filesOf([fileOf('/srv/new.txt', 'new\n')]);
    expect(await runToEnd(spec, files)).toBe('kept\nnew\nkept.txt\nnew.txt\n');
    await runner.remove(spec.name);
  });

  it('may be many: a thousand files in, and the same thousand out', async () => {
    const names = Array.from({ length: 1000 }, (_, n) => `${n % 10}/file-${n}`);
    const spec = specOf('find /in -type f | wc -l; cp -r /in /out');
    const files = () => filesOf(names.map((name) => fileOf(`/in/${name}`, `content of ${name}`)));
    expect((await runToEnd(spec, files)).trim()).toBe('1000');
    const found = await collect(runner.outputs(spec.name, '/out'));
    expect(found).toEqual(Object.fromEntries(names.map((name) => [name, `content of ${name}`])));
    await runner.remove(spec.name);
  });
});
