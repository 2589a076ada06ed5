/** The only maker of ids. */
export interface Ids {
  /** A time-ordered unique id (UUID version 7 in production). */
  uid(): string;
  /** `length` digits of lower-case base32 (`0-9a-z` without i, l, o, u), unpredictable. */
  suffix(length: number): string;
  /**
   * What makes a name unique: ten such digits, of which the first three tell when it was made, to 32 ms, and the other
   * seven are unpredictable. So names that are made together stand side by side in an index: of pure chance, each of a
   * thousand would be written on a page of its own.
   */
  nameDigits(): string;
}
