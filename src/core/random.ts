/** The only source of randomness that is not an id. */
export interface Random {
  /** In [0, 1). */
  next(): number;
}
