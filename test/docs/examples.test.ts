import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { SecretStore } from '../../src/secrets/secret-store.ts';

const SECRET = 'a-secret-for-the-examples';
const SIGNING_SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
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
  beforeAll(async () => {
    for (const name of ['S3_KEY', 'NOTIFY_TOKEN', 'ORDERS_TOKEN', 'FILM_TOKEN']) process.env[name] = SECRET;
    for (const name of ['s3.secret', 'signing.key']) writeFileSync(join(dir, name), SECRET, { mode: 0o600 });
    const secrets = new SecretStore({ dataDir: join(dir, '.tappet'), env: {} });
    for (const name of ['api-key', 'notify-token', 'ffmpeg-license', 'registry-token'])
      await secrets.add(name, Buffer.from(SECRET), '2026-01-01T00:00:00.000Z');
    process.env['CI_WEBHOOK'] = SIGNING_SECRET;
    await secrets.add('ops-webhook', Buffer.from(SIGNING_SECRET), '2026-01-01T00:00:00.000Z');
    mkdirSync(join(dir, 'inbox'));
  });
  afterAll(() => [dir, inbox].forEach((path) => rmSync(path, { recursive: true, force: true })));
  const all = [
    'README.md',
    'docs/config.md',
    'docs/staging.md',
    'docs/calls.md',
    'docs/storage.md',
    'docs/tokens.md',
    'docs/notifications.md',
  ].flatMap(configurations);

  it('are there', () => expect(all.length).toBeGreaterThanOrEqual(2));

  it.each(all)('$name', async ({ type, text }) => {
    const path = join(dir, `tappet.${type}`);
    // The example's folder exists on the reader's machine, not on this one.
    writeFileSync(path, text.replaceAll('/srv/inbox', inbox));
    const config = await loadConfig(path);
    expect(config.triggers.size).toBeGreaterThan(0);
    expect(config.warnings).toEqual([]);
  });
});

interface Definitions {
  connections?: Record<string, object>;
  issuers?: Record<string, object>;
  jobs: Record<string, object>;
  triggers?: Record<string, { source: { kind: string } }>;
}

describe('examples/', () => {
  const folders = readdirSync(join(ROOT, 'examples'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'images')
    .map(({ name }) => name);
  const dir = mkdtempSync(join(tmpdir(), 'tappet-examples-'));
  beforeAll(() => mkdirSync(join(dir, 'inbox')));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const env = { S3_ACCESS_KEY: 'a', S3_SECRET_KEY: 'b', NOTIFY_TOKEN: 'c', SHOP_PASSWORD: 'd' };
  /** `npm test` runs them, but they would be long, or want a database, in a demo. */
  const notShown = ['resize-by-index', 'etl-50', 'db-migration'];
  /** What the set-up makes, and no folder has. */
  const made = ['ffmpeg', 'psql.tar'];
  const read = (name: string, file: string): string =>
    readFileSync(join(ROOT, 'examples', name, file), 'utf8');

  it('has the seven that the README names', () => {
    const named = [
      ...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/\]\(examples\/([\w-]+)\/README\.md\)/g),
    ];
    expect(named.map(([, name = '']) => name).sort()).toEqual(folders.sort());
    expect(folders).toHaveLength(7);
  });

  it.each(folders)('%s: configuration, recipe of its image, README and test', async (name) => {
    const path = join(dir, `${name}.yaml`);
    // The folder with the data is on the reader's machine, not on this one.
    writeFileSync(path, read(name, 'tappet.yaml').replaceAll('/srv/etl', join(dir, 'inbox')));
    const config = await loadConfig(path, { env });
    expect(config.warnings).toEqual([]);
    const [image] = [...config.jobs.values()].map((job) => job.spec.image);
    expect(image).toBe(`tappet-demo/${name}:1`);
    const copied = [...read(name, 'Dockerfile').matchAll(/^(?:COPY|ADD) (\S+) /gm)].map(
      ([, from = '']) => from,
    );
    for (const file of copied) if (!made.includes(file)) expect(read(name, file)).not.toBe('');
    expect(read(name, 'README.md')).toMatch(/^# /);
    expect(existsSync(join(ROOT, `test/e2e/examples/${name}.test.ts`))).toBe(true);
  });

  it('are what config.example.json is made of, and the demo shows', () => {
    const example = JSON.parse(readFileSync(join(ROOT, 'config.example.json'), 'utf8')) as Definitions;
    const shown = folders.filter((name) => !notShown.includes(name));
    expect(Object.keys(example.triggers ?? {}).sort()).toEqual(shown.sort());
    for (const name of shown) {
      const {
        connections,
        issuers = {},
        jobs,
        triggers = {},
      } = parse(read(name, 'tappet.yaml')) as Definitions;
      expect(example.connections?.['store']).toMatchObject(connections?.['store'] ?? {});
      expect(example).toMatchObject({ jobs, ...(name === 'call-webhook' ? { issuers } : {}) });
      for (const [trigger, { source, ...rest }] of Object.entries(triggers)) {
        expect(example.triggers?.[trigger]).toMatchObject(rest);
        // Nobody waits for the night in a demo.
        if (source.kind !== 'cron') expect(example.triggers?.[trigger]?.source).toEqual(source);
      }
    }
  });
});
