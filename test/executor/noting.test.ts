import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { noting } from '../../src/executor/noting.ts';

async function* failing(): AsyncGenerator<string> {
  yield await Promise.resolve('a');
  throw new Error('its own');
}

it('tells of its own error', async () => {
  const notes: unknown[] = [];
  const read = async (): Promise<void> => {
    for await (const part of noting(failing(), (error) => notes.push(error))) expect(part).toBe('a');
  };
  await expect(read()).rejects.toThrow('its own');
  expect(notes).toEqual([new Error('its own')]);
});

it('tells nothing of an error further down, and ends its source', async () => {
  const notes: unknown[] = [];
  let ended = false;
  async function* endless(): AsyncGenerator<string> {
    try {
      for (;;) yield await Promise.resolve('a');
    } finally {
      ended = true;
    }
  }
  const stream = Readable.from(noting(endless(), (error) => notes.push(error)));
  const read = async (): Promise<void> => {
    for await (const part of stream) {
      expect(part).toBe('a');
      stream.destroy(new Error('of the reader'));
    }
  };
  await expect(read()).rejects.toThrow('of the reader');
  await expect.poll(() => ended).toBe(true);
  expect(notes).toEqual([]);
});
