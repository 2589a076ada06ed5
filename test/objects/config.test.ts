import { describe, expect, it } from 'vitest';
import { s3ConnectionSchema } from '../../src/objects/config.ts';

const KEYS = { accessKeyId: { env: 'S3_KEY' }, secretAccessKey: { file: './s3.secret' } };

describe('a connection', () => {
  it('needs its keys only, and has Amazon’s defaults then', () => {
    expect(s3ConnectionSchema.parse({ kind: 's3', ...KEYS })).toEqual({
      kind: 's3',
      region: 'us-east-1',
      pathStyle: false,
      accessKeyId: { env: 'S3_KEY' },
      secretAccessKey: { file: './s3.secret' },
      pollMs: 60_000,
    });
  });

  it('may say everything', () => {
    const parsed = s3ConnectionSchema.parse({
      kind: 's3',
      endpoint: 'https://store.example:9000/',
      region: 'eu-x',
      accessKeyId: { secret: 'key' },
      secretAccessKey: { secret: 'key-secret', version: 3 },
      sessionToken: { env: 'TOKEN' },
      ca: './ca.pem',
      notifications: { token: { env: 'HOOK' }, dialect: 'minio' },
      poll: '10s',
    });
    expect(parsed).toEqual({
      kind: 's3',
      endpoint: 'https://store.example:9000',
      region: 'eu-x',
      pathStyle: true,
      accessKeyId: { secret: 'key' },
      secretAccessKey: { secret: 'key-secret', version: 3 },
      sessionToken: { env: 'TOKEN' },
      ca: './ca.pem',
      notifications: { token: { env: 'HOOK' }, dialect: 'minio' },
      pollMs: 10_000,
    });
    expect(
      s3ConnectionSchema.parse({ kind: 's3', ...KEYS, endpoint: 'http://s', pathStyle: false }).pathStyle,
    ).toBe(false);
  });

  it.each([
    [{ endpoint: '127.0.0.1:9000' }, 'endpoint', 'must be an address such as "http://127.0.0.1:9000"'],
    [{ endpoint: 'http://key:secret@host' }, 'endpoint', 'must be an address such as'],
    [{ endpoint: 'http://host/bucket' }, 'endpoint', 'must be an address such as'],
    [{ poll: '100ms' }, 'poll', 'must be between 1s and 1d, not 100ms'],
    [{ poll: 60 }, 'poll', 'must have a unit: write "60s"'],
    [{ poll: 'soon' }, 'poll', '"soon" is not a duration'],
    [{ accessKeyId: 'AKIA' }, 'accessKeyId', 'a secret value never stands here'],
    [{ accessKeyId: {} }, 'accessKeyId', 'name exactly one of "env", "file" and "secret"'],
    [
      { accessKeyId: { env: 'A', file: 'b' } },
      'accessKeyId',
      'name exactly one of "env", "file" and "secret"',
    ],
    [{ accessKeyId: { env: 'A', version: 1 } }, 'accessKeyId.version', 'belongs to "secret" alone'],
    [{ acessKey: {} }, '', 'unknown key "acessKey"'],
    [{ notifications: { token: { env: 'A' } } }, 'notifications.dialect', ''],
    [{ notifications: { token: { env: 'A' }, dialect: 'aws' } }, 'notifications.dialect', ''],
  ])('with %j is told so at %s', (more, path, message) => {
    const { error } = s3ConnectionSchema.safeParse({ kind: 's3', ...KEYS, ...more }, { reportInput: true });
    expect(error?.issues.map((issue) => issue.path.join('.'))).toEqual([path]);
    expect(error?.issues[0]?.message).toContain(message);
  });
});
