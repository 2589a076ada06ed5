export interface OldShape {
  readonly tasks?: number;
  /** Of each task. */
  readonly attempts?: number;
  /** The number of the event that caused it; several may have the same. */
  readonly event?: number;
}
export interface OldExecutionsOptions {
  /** Default: `old-`. */
  readonly prefix?: string;
  readonly shapeOf?: (i: number) => OldShape;
  /** They have ended, but are to be kept. */
  readonly young?: boolean;
}
export function addOldExecutions(data: string, count: number, options?: OldExecutionsOptions): void;
