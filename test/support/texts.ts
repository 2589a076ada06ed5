import fc from 'fast-check';

/**
 * Any character but half a pair, as fast-check's unit `binary`, which first spends a second on a table of all 1.1
 * million of them.
 */
export const anyCharacter = fc
  .integer({ min: 0, max: 0x10_f7ff })
  .map((n) => String.fromCodePoint(n < 0xd800 ? n : n + 0x800));
