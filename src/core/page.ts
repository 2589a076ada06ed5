/** `cursor` is opaque, from an earlier page. `size` 1..1000. */
export interface PageParams {
  readonly size: number;
  readonly cursor?: string;
}
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}
