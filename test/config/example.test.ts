import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { configJsonSchema } from '../../src/config/json-schema.ts';
import { loadConfig } from '../../src/config/load.ts';

const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const read = (name: string): unknown => JSON.parse(readFileSync(path(name), 'utf8'));

describe('config.example.json', () => {
  it('loads, and shows every kind of source and of auth that calls for no more', async () => {
    const config = await loadConfig(path('config.example.json'), { env: { DEMO_HMAC_SECRET: 'x' } });
    expect([...config.triggers.keys()]).toEqual(['every-10-seconds', 'call', 'build-hook']);
    expect(config.warnings).toEqual([]);
    const finished = {
      event: { data: { action: 'completed', conclusion: 'failure', number: 7, repository: 'a/b' } },
    };
    const hook = config.triggers.get('build-hook');
    expect(hook?.when?.evaluate(finished)).toMatchObject({
      value: false,
      clause: "event.data.conclusion == 'success'",
    });
    expect(hook?.run.env['NAME']?.render(finished)).toMatchObject({ value: 'build 7 of a/b' });
  });

  it('says what is missing where the secret is not set', async () => {
    await expect(loadConfig(path('config.example.json'), { env: {} })).rejects.toThrow(
      'DEMO_HMAC_SECRET is not set',
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
