import { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import type { StagedFile } from '../../../src/core/runner.ts';
import { MIB } from '../../../src/core/job.ts';
import { deferred } from '../../../src/lib/deferred.ts';
import { bodyOf } from '../../../src/objects/body.ts';
import { answer } from '../../support/fake-engine.ts';
import type { EngineHandler } from '../../support/fake-engine.ts';
import { closeEngines, failure, runnerOn, spec } from '../../support/fake-engine-runner.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { MemoryLogWriter } from '../../support/memory-log-writer.ts';
import { collect, fileOf, filesOf, tarOf } from '../../support/staged-files.ts';

afterEach(closeEngines);

const PUT = `PUT /containers/${spec.name}/archive`;
const GET = `GET /containers/${spec.name}/archive`;
const DELETED = expect.stringMatching(/^DELETE /);
const STARTED = expect.stringMatching(/\/start$/);
const log = () => new MemoryLogWriter();

/** Takes the whole body, then says that all is well. */
const takesAll: EngineHandler = (request, response) => {
  request.resume();
  request.on('end', () => answer(200)(request, response));
};
const big = (to = '/in/big'): StagedFile => ({ to, size: 64 * MIB, body: chunks(64) });
async function* chunks(count: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) yield Buffer.alloc(MIB, i);
}

describe('files into a container', () => {
  it('go between create and attach; a job without files makes no call for them', async () => {
    const { runner, engine } = await runnerOn({ [PUT]: takesAll });
    await runner.ensure(spec, log(), { files: () => filesOf([fileOf('/in/a', 'x')]) });
    const order = engine.calls.map((call) => call.split('/').at(-1)).filter((word) => word !== 'json');
    expect(order.slice(-4)).toEqual(['create', 'archive', 'attach', 'start']);
    await runner.ensure(spec, log(), { files: () => filesOf([]) });
    expect(engine.calls.filter((call) => call.endsWith('/archive'))).toHaveLength(1);
  });

  it('pass on what their source throws, as it is, and leave no container', async () => {
    const broken = new Error('the object store is gone');
    const brokenAfter = async function* (count: number): AsyncGenerator<StagedFile> {
      for (let i = 0; i < count; i++) yield fileOf(`/in/${i}`, 'x');
      throw broken;
    };
    const sources: (() => AsyncIterable<StagedFile>)[] = [
      () => brokenAfter(0),
      () => brokenAfter(1),
      () =>
        filesOf([
          {
            to: '/in/a',
            size: 5 * MIB,
            body: (async function* () {
              yield* chunks(2);
              throw broken;
            })(),
          },
        ]),
    ];
    for (const files of sources) {
      const { runner, engine } = await runnerOn({ [PUT]: takesAll });
      expect(await failure(runner.ensure(spec, log(), { files }))).toBe(broken);
      expect(engine.calls).toContainEqual(DELETED);
      expect(engine.calls).not.toContainEqual(STARTED);
    }
  });

  it.each([
    ['less', 'abc', 5, /3 of the 5 bytes/],
    ['more', 'abcdef', 5, /more than the 5 bytes/],
    ['nothing', '', 5, /0 of the 5 bytes/],
    ['something for an empty file', 'a', 0, /more than the 0 bytes/],
  ])('are refused where a body has another length: %s', async (_, text, size, message) => {
    const { runner, engine } = await runnerOn({ [PUT]: takesAll });
    const files = () => filesOf([{ ...fileOf('/in/a', text), size }]);
    const error = await failure(runner.ensure(spec, log(), { files }));
    expect(error).toMatchObject({
      code: 'CONTAINER_START_FAILED',
      message: expect.stringMatching(message),
    });
    expect(engine.calls).toContainEqual(DELETED);
  });

  it.each(['in/a', '/', '/in/', '/in/../etc/a', '/in//a', '/dev/shm/a', '/proc/a', '/etc/hosts', '/host/a'])(
    'are refused at %s',
    async (to) => {
      const { runner, engine } = await runnerOn({ [PUT]: takesAll });
      const bound = { ...spec, binds: [{ from: '/srv/a', to: '/host', readOnly: false }] };
      const error = await failure(runner.ensure(bound, log(), { files: () => filesOf([fileOf(to, 'x')]) }));
      expect(error).toMatchObject({
        code: 'CONTAINER_START_FAILED',
        message: expect.stringContaining(`No file can be put at ${to} `),
      });
      expect(engine.calls).not.toContainEqual(STARTED);
    },
  );

  it.each([
    ['cannot overwrite directory "/etc" with non-directory', 'CONTAINER_START_FAILED'],
    ['write /in/big: no space left on device', 'ENGINE_REFUSED'],
    ['driver failed', 'ENGINE_REFUSED'],
  ])('that the engine refuses in the middle are not sent to their end: %s', async (message, code) => {
    let read = 0;
    const refuses: EngineHandler = (request, response) => {
      request.once('data', () => {
        request.pause();
        answer(500, { message: `Error processing tar file(exit status 1): ${message}` })(request, response);
      });
    };
    const { runner, engine } = await runnerOn({ [PUT]: refuses });
    const body = (async function* () {
      for await (const chunk of chunks(64)) {
        read += chunk.length;
        yield chunk;
      }
    })();
    const files = () => filesOf([{ ...big(), body }]);
    const error = await failure(runner.ensure(spec, log(), { files }));
    expect(error).toMatchObject({ code, message: expect.stringMatching(new RegExp(`: ${message}$`)) });
    expect(read).toBeLessThan(32 * MIB);
    expect(engine.calls).toContainEqual(DELETED);
  });

  it('end with an engine that dies meanwhile: it may be asked again', async () => {
    const { runner, engine } = await runnerOn({
      [PUT]: (request) => request.once('data', () => request.socket.destroy()),
    });
    const error = await failure(runner.ensure(spec, log(), { files: () => filesOf([big()]) }));
    expect(error).toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
    expect(engine.calls).not.toContainEqual(DELETED);
  });

  it('end with an engine that takes no byte for a minute, however long all of them take', async () => {
    const clock = new ManualClock();
    const got = deferred<void>();
    const { runner } = await runnerOn(
      {
        [PUT]: (request) => {
          request.pause();
          got.resolve();
        },
      },
      clock,
    );
    const failed = failure(runner.ensure(spec, log(), { files: () => filesOf([big()]) }));
    await got.promise;
    expect(await stalling(clock, failed)).toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringMatching(/took no byte for 60 s/),
    });
  });

  it('end with a source that gives no byte for a minute and a half, and not with one that is only slow', async () => {
    const clock = new ManualClock();
    const { runner, engine } = await runnerOn({ [PUT]: takesAll }, clock);
    const silent = deferred<void>();
    const slow = async function* () {
      for (let i = 0; i < 10; i++) {
        await clock.advance(50_000);
        yield Buffer.from('x');
      }
      silent.resolve();
      await new Promise(() => undefined);
    };
    const files = () => filesOf([{ to: '/in/slow', size: 11, body: slow() }]);
    const failed = failure(runner.ensure(spec, log(), { files }));
    await silent.promise;
    const error = await stalling(clock, failed);
    expect(error).toMatchObject({
      code: 'OBJECT_STORE_UNAVAILABLE',
      message: expect.stringMatching(/Nothing came of the file for \/in\/slow for 90 s/),
    });
    expect(engine.calls).toContainEqual(DELETED);
  });

  it('leave it to an object store to say itself that it fell silent', async () => {
    const clock = new ManualClock();
    const { runner } = await runnerOn({ [PUT]: takesAll }, clock);
    const stream = new Readable({ read: () => undefined });
    stream.push('abc');
    const place = { connection: 'store', address: 'http://store', bucket: 'b' };
    const body = bodyOf(stream, { clock, place, key: 'k', size: 9, signal: undefined });
    const files = () => filesOf([{ to: '/in/a', size: 9, body }]);
    expect(await stalling(clock, failure(runner.ensure(spec, log(), { files })))).toMatchObject({
      code: 'OBJECT_STORE_UNAVAILABLE',
      message: expect.stringMatching(/sent nothing for 60 s after 3 of 9 bytes of "k"/),
    });
  });

  it('end with the signal, whose reason the caller gets', async () => {
    const controller = new AbortController();
    const cancelled = new Error('cancelled');
    const { runner, engine } = await runnerOn({ [PUT]: takesAll });
    const body = (async function* () {
      yield* chunks(1);
      controller.abort(cancelled);
      await new Promise(() => undefined);
    })();
    const options = { files: () => filesOf([{ ...big(), body }]), signal: controller.signal };
    expect(await failure(runner.ensure(spec, log(), options))).toBe(cancelled);
    expect(engine.calls).toContainEqual(DELETED);
    expect(await failure(runner.ensure(spec, log(), options))).toBe(cancelled);
  });

  it('leave the container to whoever owns the engine by then', async () => {
    const over = new Error('not ours any more');
    let mine = true;
    const mayAct = () => {
      if (!mine) throw over;
    };
    const { runner, engine } = await runnerOn({ [PUT]: takesAll });
    const files = async function* (): AsyncGenerator<StagedFile> {
      yield fileOf('/in/a', 'x');
      mine = false;
      throw new Error('something else');
    };
    expect(await failure(runner.ensure(spec, log(), { files, mayAct }))).toBe(over);
    expect(engine.calls).not.toContainEqual(DELETED);
  });
});

describe('files out of a container', () => {
  const stat = Buffer.from(JSON.stringify({ mode: 0o644 })).toString('base64');
  const sends =
    (bytes: Buffer, end = true): EngineHandler =>
    (_, response) => {
      response.writeHead(200, { 'x-docker-container-path-stat': stat });
      response.write(bytes, () => (end ? response.end() : response.destroy()));
    };
  const files = tarOf([
    ['out/', ''],
    ['out/a', 'first'],
    ['out/b', 'second'],
  ]);

  it.each([
    ['a connection that breaks in a body', sends(files.subarray(0, 512 + 512 + 3), false)],
    ['an answer that ends in a body', sends(files.subarray(0, 512 + 512 + 3))],
    ['an answer that ends between two files', sends(files.subarray(0, 3 * 512))],
    ['an answer that is no archive', sends(Buffer.alloc(4096, 'x'))],
  ])('are not taken for whole: %s', async (_, handler) => {
    const { runner } = await runnerOn({ [GET]: handler });
    expect(await failure(collect(runner.outputs(spec.name, '/out')))).toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
    });
  });

  it.each(['../etc/passwd', 'out/../../x', '/etc/passwd', 'other/x', 'out//x', 'out/./x'])(
    'are refused where an entry is named %s',
    async (name) => {
      const { runner } = await runnerOn({ [GET]: sends(tarOf([[name, 'x']])) });
      expect(await failure(collect(runner.outputs(spec.name, '/out')))).toMatchObject({
        code: 'ENGINE_REFUSED',
        message: expect.stringMatching(/is not below it/),
      });
    },
  );

  it('are refused in a volume, which Podman gives without its name, where an entry leads out of it', async () => {
    const of = async (...names: string[]) => {
      const tar = tarOf(['/', ...names].map((name) => [name, name.endsWith('/') ? '' : name]));
      const { runner } = await runnerOn({ [GET]: sends(tar) });
      return collect(runner.outputs(spec.name, '/out'));
    };
    expect(await of('/a', '/sub/b')).toEqual({ a: '/a', 'sub/b': '/sub/b' });
    for (const name of ['/../x', '/sub/../x', '//x', '/sub/./x', 'out/x'])
      expect(await failure(of('/a', name)), name).toMatchObject({ code: 'ENGINE_REFUSED' });
  });

  it('are refused where a name is not UTF-8, for good', async () => {
    const { runner } = await runnerOn({ [GET]: sends(tarOf([['out/caf\uFFFD', 'x']])) });
    expect(await failure(collect(runner.outputs(spec.name, '/out')))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/not UTF-8/),
    });
  });

  it('may be read in part, or not at all', async () => {
    const { runner } = await runnerOn({ [GET]: sends(files) });
    const seen: string[] = [];
    for await (const { path, body } of runner.outputs(spec.name, '/out')) {
      seen.push(path);
      if (path === 'a') for await (const _ of body) break;
    }
    expect(seen).toEqual(['a', 'b']);
  });

  it('end the call to the engine where the reader leaves', async () => {
    const closed = deferred<void>();
    const { runner } = await runnerOn({
      [GET]: (request, response) => {
        response.writeHead(200, { 'x-docker-container-path-stat': stat });
        response.write(files.subarray(0, 1500));
        request.socket.once('close', () => closed.resolve());
      },
    });
    for await (const _ of runner.outputs(spec.name, '/out')) break;
    await expect(closed.promise).resolves.toBeUndefined();
  });

  it('end with the signal, and with an engine that sends no byte for a minute', async () => {
    const clock = new ManualClock();
    const { runner } = await runnerOn({ [GET]: stuck(files.subarray(0, 1027), stat) }, clock);
    const failed = failure(collect(runner.outputs(spec.name, '/out')));
    expect(await stalling(clock, failed)).toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringMatching(/no byte came for 60 s/),
    });
    const cancelled = new Error('cancelled');
    const controller = new AbortController();
    const reading = (async () => {
      for await (const { body } of runner.outputs(spec.name, '/out', controller.signal))
        for await (const _ of body) controller.abort(cancelled);
    })();
    expect(await failure(reading)).toBe(cancelled);
  });

  it('of a container that is gone are an error, not nothing', async () => {
    for (const message of [
      'No such container: x',
      'no container with name or ID "x" found: no such container',
    ]) {
      const { runner } = await runnerOn({ [GET]: answer(404, { message }) });
      expect(await failure(collect(runner.outputs(spec.name, '/out')))).toMatchObject({
        code: 'ENGINE_REFUSED',
      });
    }
  });
});

function stuck(bytes: Buffer, stat: string): EngineHandler {
  return (_, response) => {
    response.writeHead(200, { 'x-docker-container-path-stat': stat });
    response.write(bytes);
  };
}

/** Lets the clock run, in steps with room for real bytes between them, until `promise` settles. */
async function stalling<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let settled = false;
  void promise.finally(() => (settled = true));
  while (!settled) {
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(10_000);
  }
  return promise;
}
