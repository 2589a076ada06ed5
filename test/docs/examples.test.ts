import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Every configuration that a reader may copy from the docs. */
function configurations(page: string): { name: string; type: string; text: string }[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  const blocks = [...text.matchAll(/^```(json|yaml)\n(.*?)^```$/gms)];
  return blocks.map(([, type = '', body = ''], i) => ({ name: `${page}, block ${i + 1}`, type, text: body }));
}

describe('configurations in the docs', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-docs-'));
  const inbox = mkdtempSync(join(tmpdir(), 'tappet-inbox-'));
  beforeAll(() => void (process.env['DEMO_HMAC_SECRET'] = 'a secret for the examples'));
  afterAll(() => [dir, inbox].forEach((path) => rmSync(path, { recursive: true, force: true })));
  const all = ['README.md', 'docs/config.md'].flatMap(configurations);

  it('are there', () => expect(all.length).toBeGreaterThanOrEqual(2));

  it.each(all)('$name', async ({ type, text }) => {
    const path = join(dir, `tappet.${type}`);
    // The example's folder exists on the reader's machine, not on this one.
    writeFileSync(path, text.replaceAll('/srv/inbox', inbox));
    const config = await loadConfig(path);
    expect(config.triggers.size).toBeGreaterThan(0);
  });

  it('config.example.json', async () => {
    const config = await loadConfig(join(ROOT, 'config.example.json'));
    expect([...config.triggers.keys()].length).toBeGreaterThanOrEqual(3);
  });
});
