import { hash } from 'node:crypto';

/** 128 bits: who would look for two texts with the same digest could only repeat a call of their own. */
const LENGTH = 22;

/** Tells data apart that came under one identity; the order of fields counts, spaces between them do not. */
export function dataDigest(data: unknown): string {
  return hash('sha256', JSON.stringify(data) ?? '', 'base64url').slice(0, LENGTH);
}
