import { describe, expect, it } from 'vitest';
import { DAY, ENGINE, HOUR, expectCode, keyOf } from './fixture.ts';
import type { Bench } from './fixture.ts';

const AA = 'sha256:aa';
const BB = 'sha256:bb';
const REPO = 'r.example/x@sha256:11';

export function imagesContract(bench: Bench): void {
  /** Claims an attempt and starts it with this image. */
  async function started(imageDigest: string | null, imageRepoDigest: string | null = null) {
    const [claim] = await bench.claim(1);
    if (claim === undefined) throw new TypeError('nothing to claim');
    const [key, epoch, startTime] = [keyOf(claim.attempt), await bench.epoch(), bench.clock.now()];
    return bench.store.attemptStarted({
      key,
      epoch,
      startTime,
      imageDigest,
      imageRepoDigest,
      pulledBytes: 7,
    });
  }
  const imageOf = async (name: string) => (await bench.store.getExecution(name))?.image;
  const pulled = async (digest: string, name: string) =>
    bench.store.imagePulled({ engine: ENGINE, epoch: await bench.epoch(), digest, name });
  const unused = async (ms = DAY) =>
    (await bench.store.unusedImages(ENGINE, ms, 10)).map(({ digest }) => digest);

  describe('the image of an execution', () => {
    it('is the one that its first container was started with, whatever others say later', async () => {
      const name = await bench.created({ taskCount: 3, parallelism: 3 });
      expect(await imageOf(name)).toBeNull();
      const before = await bench.store.getExecution(name);
      expect(await started(AA, REPO)).toMatchObject({ imageDigest: AA, usage: { pulledBytes: 7 } });
      expect(await imageOf(name)).toEqual({ digest: AA, repoDigest: REPO });
      expect((await bench.store.getExecution(name))?.etag).not.toBe(before?.etag);
      await started(BB, 'r.example/x@sha256:22');
      expect(await imageOf(name)).toEqual({ digest: AA, repoDigest: REPO });
      const [claim] = await bench.claim(1);
      expect(claim?.execution.image).toEqual({ digest: AA, repoDigest: REPO });
    });

    it('learns its registry’s digest later, where the engine’s alone was known', async () => {
      const name = await bench.created({ taskCount: 3, parallelism: 3 });
      await started(null);
      expect(await imageOf(name)).toBeNull();
      await started(AA);
      expect(await imageOf(name)).toEqual({ digest: AA, repoDigest: null });
      await started(AA, REPO);
      expect(await imageOf(name)).toEqual({ digest: AA, repoDigest: REPO });
    });

    it('outlives what else is stored of it, and a restart', async () => {
      const name = await bench.created({ maxRetries: 1 });
      const { attempt } = await started(AA, REPO);
      const key = { execution: name, index: 0, attempt };
      await bench.finish(key, bench.exit(1));
      const store = await bench.fixture.reopen();
      expect((await store.getExecution(name))?.image).toEqual({ digest: AA, repoDigest: REPO });
    });
  });

  describe('pulled images', () => {
    it('are unused when no attempt was started with them for so long, the longest first', async () => {
      await pulled(AA, 'x:1');
      await bench.clock.advance(HOUR);
      await pulled(BB, 'x:2');
      await bench.clock.advance(DAY - HOUR);
      expect(await bench.store.unusedImages(ENGINE, DAY, 10)).toEqual([{ digest: AA, name: 'x:1' }]);
      expect(await unused(DAY - HOUR)).toEqual([AA, BB]);
      expect(await bench.store.unusedImages(ENGINE, 0, 1)).toHaveLength(1);
      expect(await bench.store.unusedImages('another', 0, 10)).toEqual([]);
    });

    it('are used by a start, by being needed, and by another pull', async () => {
      for (const digest of [AA, BB, 'sha256:cc']) await pulled(digest, digest);
      await bench.clock.advance(2 * DAY);
      await bench.created();
      await started(AA);
      await bench.store.imageUsed(ENGINE, BB);
      expect(await unused()).toEqual(['sha256:cc']);
      await pulled('sha256:cc', 'again');
      expect(await unused()).toEqual([]);
    });

    it('are forgotten once they are gone', async () => {
      await pulled(AA, 'x:1');
      await bench.store.imageRemoved(ENGINE, AA);
      await bench.store.imageRemoved(ENGINE, AA);
      expect(await unused(0)).toEqual([]);
    });

    it('are told only by who holds the engine', async () => {
      const epoch = (await bench.epoch()) - 1;
      await expectCode(
        bench.store.imagePulled({ engine: ENGINE, epoch, digest: AA, name: 'x' }),
        'STALE_EPOCH',
      );
    });
  });

  describe('imagesInUse', () => {
    it('tells what every execution that has not ended runs, page by page', async () => {
      for (const image of ['a:1', 'b:1', 'c:1', 'd:1']) await bench.created({ image });
      await started(AA);
      const [second] = await bench.claim(1);
      await bench.attempt(bench.exit(0));
      const found = [];
      let cursor: string | null = null;
      do {
        const page = await bench.store.imagesInUse(cursor, 1);
        expect(page.images.length).toBeLessThanOrEqual(1);
        found.push(...page.images);
        cursor = page.next;
      } while (cursor !== null);
      expect(second?.execution.spec.image).toBe('b:1');
      expect(found).toEqual([
        { name: 'd:1', digest: null },
        { name: 'a:1', digest: AA },
        { name: 'b:1', digest: null },
      ]);
    });
  });
}
