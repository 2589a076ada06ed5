import type { S3ConnectionSpec } from '../../src/core/objects.ts';
import type { SecretRef, Secrets } from '../../src/core/secrets.ts';
import { SecretValue } from '../../src/core/secrets.ts';
import { TappetError } from '../../src/core/errors.ts';

/** Secrets that a test holds in its hand; `{ env: NAME }` reads them. */
export class HeldSecrets implements Secrets {
  readonly values = new Map<string, string>();
  /** Names in the order in which they were asked for. */
  readonly asked: string[] = [];

  constructor(values: Readonly<Record<string, string>> = {}) {
    for (const [name, value] of Object.entries(values)) this.values.set(name, value);
  }

  resolve(ref: SecretRef): Promise<SecretValue> {
    const name = 'env' in ref ? ref.env : 'file' in ref ? ref.file : ref.secret;
    this.asked.push(name);
    const value = this.values.get(name);
    if (value === undefined)
      return Promise.reject(new TappetError('SECRET_UNREADABLE', `${name} is not set`));
    return Promise.resolve(new SecretValue(value));
  }
}

/** The keys of a started store, under the names that `connectionTo` refers to. */
export function keysOf(server: { readonly accessKey: string; readonly secretKey: string }): HeldSecrets {
  return new HeldSecrets({ ACCESS_KEY: server.accessKey, SECRET_KEY: server.secretKey });
}

export function connectionTo(endpoint: string, more: Partial<S3ConnectionSpec> = {}): S3ConnectionSpec {
  return {
    kind: 's3',
    endpoint,
    region: 'us-east-1',
    pathStyle: true,
    accessKeyId: { env: 'ACCESS_KEY' },
    secretAccessKey: { env: 'SECRET_KEY' },
    pollMs: 60_000,
    ...more,
  };
}
