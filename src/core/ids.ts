/** The only maker of ids. */
export interface Ids {
  /** A time-ordered unique id (UUID version 7 in production). */
  uid(): string;
  /** `length` digits of lower-case base32 (`0-9a-z` without i, l, o, u), unpredictable. */
  suffix(length: number): string;
}
