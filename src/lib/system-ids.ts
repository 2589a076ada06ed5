import { randomBytes } from 'node:crypto';
import { v7 } from 'uuid';

/** Crockford's base32 in lower case: no i, l, o, u, so that a name read aloud is typed right. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';

/** Ids of production, in the shape of the ids port. */
export class SystemIds {
  uid(): string {
    return v7();
  }
  suffix(length: number): string {
    let text = '';
    for (const byte of randomBytes(length)) text += DIGITS[byte & 31] ?? '';
    return text;
  }
}
