import { expect, it } from 'vitest';
import { statusSection } from '../../src/http/page/status.ts';

const status = (config: object) => ({
  engine: { state: 'ready', message: 'Tasks run on Docker.', warnings: [] },
  config: { etag: 'e', ...config },
});

it('says that the configuration on disk is not applied, and why, as text', () => {
  const page = statusSection(status({ state: 'invalid', message: 'a.json:1:2 <jobs>: no' }), 0).toString();
  expect(page).toContain('The configuration on disk is not applied:');
  expect(page).toContain('a.json:1:2 &lt;jobs&gt;: no');
  expect(page).not.toContain('hidden');
});

it('says nothing of one that is', () => {
  const page = statusSection(status({ state: 'applied' }), 0).toString();
  expect(page).not.toContain('configuration');
  expect(page).toContain('hidden');
});

it('tells of images that are being pulled, and how far', () => {
  const pull = {
    image: 'team/<x>:2',
    startTime: 0,
    layers: 7,
    layersDone: 3,
    bytes: 12 * 1024 ** 2,
    totalBytes: 80 * 1024 ** 2,
  };
  const page = (pulls: object[]) =>
    statusSection(
      { engine: { state: 'ready', message: '', warnings: [], pulls: pulls.map((one) => ({ ...one })) } },
      20_000,
    )
      .toString()
      .replace(/\s+/g, ' ');
  expect(page([pull])).toContain('pulling <code>team/&lt;x&gt;:2</code>: 12 MiB of 80 MiB, 3 of 7 layers');
  expect(page([{ ...pull, layers: 0, totalBytes: 0 }])).toContain(
    'pulling <code>team/&lt;x&gt;:2</code> <span',
  );
  expect(page([])).not.toContain('pulling');
});

it('says what cannot be written, and since when', () => {
  const problem = { part: 'database', message: 'the disk is <full>', since: 10_000 };
  const health = { state: 'degraded', problems: [problem] };
  const page = statusSection({ ...status({ state: 'applied' }), health }, 30_000).toString();
  expect(page.replaceAll(/<\/?(span|time)[^>]*>/g, '')).toContain('the disk is &lt;full&gt; (20 s ago)');
  expect(page).not.toContain('hidden');
});
