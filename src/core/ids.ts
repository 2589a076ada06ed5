/** The only maker of ids. */
export interface Ids {
  /** A time-ordered unique id (UUID version 7 in production). */
  uid(): string;
  /** `length` digits of lower-case base32 (`0-9a-z` without i, l, o, u), unpredictable. */
  suffix(length: number): string;
  /**
   * What makes a name unique: ten such digits. Names that are made within a moment begin alike, and else are as
   * unpredictable, so that they stand side by side in an index: each of a thousand at random would be written on a page
   * of its own.
   */
  nameDigits(): string;
}
