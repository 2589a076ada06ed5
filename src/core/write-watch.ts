/** Hears how the writes of a part to its disk go. Neither call throws. */
export interface WriteWatch {
  worked(): void;
  failed(error: unknown): void;
}
