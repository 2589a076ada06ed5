import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { deferred } from '../../src/lib/deferred.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { createObjects } from '../../src/objects/objects.ts';
import { FakeLog } from '../support/fake-log.ts';
import { connectionTo, HeldSecrets } from '../support/object-stores.ts';

const secrets = new HeldSecrets({ ACCESS_KEY: 'a', SECRET_KEY: 'b' });
const objectsOf = (connections: Readonly<Record<string, string>>) => {
  const specs = (of: Readonly<Record<string, string>>) =>
    new Map(Object.entries(of).map(([name, endpoint]) => [name, connectionTo(endpoint)]));
  const objects = createObjects({
    connections: specs(connections),
    secrets,
    clock: new SystemClock(),
    log: new FakeLog(),
  });
  return { objects, prepare: (of: Readonly<Record<string, string>>) => objects.prepare(specs(of)) };
};

it('keeps the store of a connection that is the same, and exchanges the others at once', () => {
  const { objects, prepare } = objectsOf({ a: 'http://a:1', b: 'http://b:1', gone: 'http://c:1' });
  const before = ['a', 'b', 'gone'].map((name) => objects.connection(name));
  const next = prepare({ a: 'http://a:1', b: 'http://b:2', fresh: 'http://d:1' });
  expect(['a', 'b', 'gone', 'fresh'].map((name) => objects.connection(name))).toEqual([...before, undefined]);
  expect(next.connection('a')).toBe(before[0]);
  expect(next.connection('b')).not.toBe(before[1]);
  expect(next.connection('gone')).toBeUndefined();
  next.apply();
  expect(objects.connection('a')).toBe(before[0]);
  expect(objects.connection('b')).toBe(next.connection('b'));
  expect(objects.connection('fresh')).toBe(next.connection('fresh'));
  // What was frozen before may name it.
  expect(objects.connection('gone')).toBe(before[2]);
});

it('a call under way in a store that was exchanged ends as it began, and its connection with it', async () => {
  const hold = deferred<void>();
  const asked = deferred<void>();
  const sockets = new Set<Socket>();
  const server = createServer((_request, response) => {
    asked.resolve();
    void hold.promise.then(() =>
      response
        .writeHead(200, { etag: '"e"', 'content-length': '0', 'last-modified': new Date(0).toUTCString() })
        .end(),
    );
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { objects, prepare } = objectsOf({ a: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  const head = objects.connection('a')?.head({ bucket: 'b', key: 'k' });
  await asked.promise;
  prepare({ a: 'http://127.0.0.1:9' }).apply();
  hold.resolve();
  expect(await head).toMatchObject({ etag: 'e', size: 0 });
  for (const socket of sockets) await once(socket, 'close');
  expect(sockets.size).toBe(0);
  await expect(objects.connection('a')?.head({ bucket: 'b', key: 'k' })).rejects.toThrow('127.0.0.1:9');
  objects.close();
});
