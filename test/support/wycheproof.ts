import { readFileSync } from 'node:fs';
import type { JsonObject } from '../../src/core/json.ts';

/** One vector of Wycheproof: a token, the keys that may check it, and whether it is good. */
export interface Vector {
  readonly name: string;
  readonly group: string;
  readonly keys: readonly JsonObject[];
  readonly token: string;
  readonly valid: boolean;
}

interface File {
  readonly testGroups: readonly {
    readonly comment: string;
    readonly public?: JsonObject;
    readonly private?: JsonObject;
    readonly tests: readonly {
      readonly tcId: number;
      readonly comment: string;
      readonly jws?: string;
      readonly jwe?: string;
      readonly result: 'valid' | 'invalid';
    }[];
  }[];
}

/** The vectors of one file. Those of JWE are taken as what they are to us: tokens that no one may get in with. */
export function readVectors(kind: 'signature' | 'key' | 'crypto'): Vector[] {
  const url = new URL(`../fixtures/wycheproof/json_web_${kind}_test.json`, import.meta.url);
  const file = JSON.parse(readFileSync(url, 'utf8')) as File;
  return file.testGroups.flatMap((group, index) => {
    const keys = group.public ?? group.private ?? {};
    return group.tests.map(({ tcId, comment, jws, jwe, result }) => {
      // Three are written in the JSON form, which is an object here and a text there.
      const token: unknown = jws ?? jwe;
      return {
        name: `${kind} ${tcId}: ${group.comment}, ${comment}`,
        group: `${kind}-${index}`,
        keys: Array.isArray(keys['keys']) ? (keys['keys'] as JsonObject[]) : [keys],
        token: typeof token === 'string' ? token : JSON.stringify(token),
        valid: result === 'valid' && jws !== undefined,
      };
    });
  });
}
