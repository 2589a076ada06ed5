import { expect, test } from 'vitest';
import { Funnel } from '../../src/lib/funnel.ts';

test('gives every value once, and lets no producer run ahead', async () => {
  const funnel = new Funnel<string>();
  const ahead = { a: 0, b: 0 };
  const produce = async (name: 'a' | 'b'): Promise<void> => {
    for (let i = 0; i < 50; i++) {
      ahead[name] += 1;
      await funnel.put(`${name}${i}`);
    }
  };
  void Promise.all([produce('a'), produce('b')]).then(() => funnel.end());
  const taken: string[] = [];
  for await (const value of funnel.values()) {
    taken.push(value);
    await Promise.resolve();
    expect(ahead.a + ahead.b).toBeLessThanOrEqual(taken.length + 2);
  }
  for (const name of ['a', 'b'])
    expect(taken.filter((value) => value.startsWith(name))).toEqual(
      Array.from({ length: 50 }, (_, i) => `${name}${i}`),
    );
});

test('hands on what a producer failed with', async () => {
  const funnel = new Funnel<number>();
  funnel.fail(new Error('broken'));
  await expect(funnel.values().next()).rejects.toThrow('broken');
});

test('lets the producers go when the consumer has gone', async () => {
  const funnel = new Funnel<number>();
  const waiting = [funnel.put(1), funnel.put(2), funnel.put(3)];
  for await (const _ of funnel.values()) break;
  expect(await Promise.all([...waiting, funnel.put(4)])).toHaveLength(4);
});
