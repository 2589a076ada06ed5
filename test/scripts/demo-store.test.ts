import { expect, it } from 'vitest';
import { chooseStore } from '../../scripts/lib/demo-store.mjs';

const running = { kind: 'running', url: 'http://127.0.0.1:9000', accessKey: 'a', secretKey: 'b' } as const;
const program = { kind: 'program', path: 'minio', from: 'PATH' } as const;

type Wanted = Parameters<typeof chooseStore>[0];
type Found = typeof running | typeof program | undefined;

it.each<[Wanted, Found, Awaited<ReturnType<typeof chooseStore>>]>([
  [undefined, running, running],
  [undefined, program, { kind: 'minio', from: 'PATH' }],
  [undefined, undefined, { kind: 'seaweedfs' }],
  ['minio', undefined, { kind: 'minio', from: 'built now' }],
  ['minio', program, { kind: 'minio', from: 'PATH' }],
  ['seaweedfs', running, { kind: 'seaweedfs' }],
])('the demo, asked for %s where it finds %j, takes %j', async (wanted, found, taken) => {
  expect(await chooseStore(wanted, async () => found)).toEqual(taken);
});
