import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { configJsonSchema } from '../../src/config/json-schema.ts';
import { loadConfig } from '../../src/config/load.ts';

const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const read = (name: string): unknown => JSON.parse(readFileSync(path(name), 'utf8'));

const SET = { S3_ACCESS_KEY: 'a', S3_SECRET_KEY: 'b', NOTIFY_TOKEN: 'c' };

describe('config.example.json', () => {
  it('loads, and shows every kind of source', async () => {
    const config = await loadConfig(path('config.example.json'), { env: SET });
    expect([...config.triggers].map(([name, { source }]) => [name, source.kind])).toEqual([
      ['nightly-report', 'cron'],
      ['transcode-upload', 'storage'],
      ['call-webhook', 'webhook'],
      ['inbox-folder', 'files'],
    ]);
    // The demo makes the folder; where it is not there, a warning says so.
    expect(config.warnings.filter((warning) => !warning.includes('inbox'))).toEqual([]);
    const free = { event: { data: { amount: 0 } } };
    expect(config.triggers.get('call-webhook')?.when?.evaluate(free)).toMatchObject({
      value: false,
      clause: 'event.data.amount > 0',
    });
  });

  it('says what is missing where a secret is not set', async () => {
    await expect(loadConfig(path('config.example.json'), { env: {} })).rejects.toThrow(
      'NOTIFY_TOKEN is not set',
    );
  });
});

describe('config.schema.json', () => {
  it('is what the schema in the code gives (npm run schema writes it)', () => {
    expect(read('config.schema.json')).toEqual(JSON.parse(JSON.stringify(configJsonSchema())));
  });

  it('describes the fields, without an address that an editor would fetch', () => {
    const schema = read('config.schema.json');
    expect(schema).toMatchObject({
      properties: { jobs: { additionalProperties: { properties: { timeout: { default: '10m' } } } } },
    });
    expect(schema).not.toHaveProperty('$id');
  });
});
