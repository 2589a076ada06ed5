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
