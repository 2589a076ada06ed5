import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { findMinio, MINIO_VERSION } from '../../scripts/lib/object-store.mjs';
import { tempFolder } from '../support/temp-folder.ts';

function program(file: string, says: string): void {
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, `#!/bin/sh\necho "${says}"\n`);
  chmodSync(file, 0o755);
}

it('finds MinIO on the PATH, and no other program of that name', async () => {
  const dir = tempFolder();
  const env = { PATH: `${dir}:/usr/bin:/bin`, XDG_CACHE_HOME: join(dir, 'cache') };
  program(join(dir, 'minio'), 'GNU Midnight Commander');
  expect(await findMinio(env)).toBeUndefined();
  program(join(dir, 'minio'), 'minio version X; License GNU AGPLv3');
  expect(await findMinio(env)).toEqual({ kind: 'program', path: 'minio', from: 'PATH' });
});

it('prefers what was built before, and before that what MINIO_BIN names', async () => {
  const dir = tempFolder();
  const built = join(dir, `tappet/minio-${MINIO_VERSION}/minio`);
  program(built, 'built');
  program(join(dir, 'mine'), 'mine');
  const env = { PATH: '/usr/bin:/bin', XDG_CACHE_HOME: dir };
  expect(await findMinio(env)).toEqual({ kind: 'program', path: built, from: 'built before' });
  const named = { ...env, MINIO_BIN: join(dir, 'mine') };
  expect(await findMinio(named)).toEqual({ kind: 'program', path: join(dir, 'mine'), from: 'MINIO_BIN' });
  await expect(findMinio({ ...env, MINIO_BIN: join(dir, 'none') })).rejects.toThrow('which is no program');
});

it('takes a server that runs only with its keys, and only if it is a MinIO', async () => {
  let name = 'MinIO';
  const server = createServer((_, response) => void response.writeHead(200, { server: name }).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const env = { PATH: '/nowhere', XDG_CACHE_HOME: tempFolder(), S3_ENDPOINT: url };
  expect(await findMinio(env)).toBeUndefined();
  const keys = { ...env, AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'secret' };
  expect(await findMinio(keys)).toEqual({ kind: 'running', url, accessKey: 'key', secretKey: 'secret' });
  name = 'nginx';
  expect(await findMinio(keys)).toBeUndefined();
});
