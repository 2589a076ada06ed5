/**
 * Where a secret value stands: an environment variable of the gateway, a file (one trailing newline is cut), or the
 * gateway's own store of secrets (the newest version unless one is named).
 */
export type SecretRef =
  | { readonly env: string }
  | { readonly file: string }
  | { readonly secret: string; readonly version?: number };

/** A secret in memory. Prints as `[secret]`, in JSON and in logs too; only `reveal()` gives the value. */
export class SecretValue {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return '[secret]';
  }
  toJSON(): string {
    return '[secret]';
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}

export interface Secrets {
  /** Errors: SECRET_UNREADABLE, which names the place and never the value. An empty secret is unreadable too. */
  resolve(ref: SecretRef): Promise<SecretValue>;
}
