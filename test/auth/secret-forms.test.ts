import { expect, test } from 'vitest';
import { secretDoubt, secretFormProblem } from '../../src/auth/secret-forms.ts';
import { SecretValue } from '../../src/core/secrets.ts';

const problem = (form: string, scheme: string | undefined, text: string) =>
  secretFormProblem(form, scheme, new SecretValue(text));
const base64 = (bytes: number): string => Buffer.alloc(bytes, 1).toString('base64');

test.each(['two words', 'a,b', 'schlüssel', 'a\n', 'a\u007f'])('%j cannot be sent as a token', (text) => {
  for (const form of ['bearer', 'gitlab']) {
    expect(problem(form, undefined, text)).toMatch(/^holds spaces, commas or characters beyond ASCII/);
  }
  for (const form of ['hmac', 'basic']) expect(problem(form, undefined, text)).toBeUndefined();
});
test('every other visible character of ASCII can', () => {
  const text = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i))
    .join('')
    .replace(',', '');
  expect([problem('bearer', undefined, text), problem('gitlab', undefined, text)]).toEqual([
    undefined,
    undefined,
  ]);
});

test.each([
  [`whsec_${base64(16)}`, undefined],
  [base64(16), undefined],
  [base64(16).replace(/=+$/, ''), undefined],
  [`whsec_${base64(15)}`, 'is shorter than 16 bytes: have the sender make a longer one'],
  [`whpk_${base64(32)}`, undefined],
  [`whpk_${base64(33)}`, 'is not an Ed25519 public key: whpk_ and the base64 of 32 bytes'],
  [`whpk_${base64(32)}=`, undefined],
  [`whpk_${base64(32)}==`, 'is not an Ed25519 public key: whpk_ and the base64 of 32 bytes'],
  [`whsk_${base64(64)}`, "is the sender's private key: put its public key here, which begins with whpk_"],
  [`=${base64(18)}`, 'is not a Standard Webhooks secret: whsec_ and base64, or whpk_ and base64'],
  ['AQEBAQEB=AQEBAQEBAQEBAQEB', 'is not a Standard Webhooks secret: whsec_ and base64, or whpk_ and base64'],
  ['no base64 at all', 'is not a Standard Webhooks secret: whsec_ and base64, or whpk_ and base64'],
  [`xwhsec_${base64(16)}`, 'is not a Standard Webhooks secret: whsec_ and base64, or whpk_ and base64'],
])('of Standard Webhooks, %s: %s', (text, why) => {
  expect(problem('hmac', 'standard-webhooks', text)).toBe(why);
  for (const scheme of ['github', 'generic', undefined])
    expect(problem('hmac', scheme, text)).toBeUndefined();
  expect(problem('basic', 'standard-webhooks', text)).toBeUndefined();
});

test('a secret of fewer than 16 bytes is in doubt, and is not named', () => {
  expect(secretDoubt(new SecretValue('x'.repeat(16)))).toBeUndefined();
  expect(secretDoubt(new SecretValue('ü'.repeat(8)))).toBeUndefined();
  expect(secretDoubt(new SecretValue('x'.repeat(15)))).toMatch(
    /^is shorter than 16 bytes, and might be found/,
  );
});
