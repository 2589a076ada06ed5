import { isTappetError } from '../core/errors.ts';
import type { ContainerStatus } from '../core/runner.ts';
import type { LifeContext } from './life-context.ts';
import type { Stopper } from './stopper.ts';

export interface ContainerLookOptions {
  readonly context: Pick<LifeContext, 'gate' | 'runner' | 'log'>;
  readonly name: string;
  readonly stopper: Pick<Stopper, 'removed'>;
  /** Somebody has asked it to stop. */
  stopRequested(): boolean;
}

/** Asks the engine what one container does. */
export class ContainerLook {
  readonly #options: ContainerLookOptions;
  #refusal: string | undefined;
  #ranAfterStopRequest = false;

  constructor(options: ContainerLookOptions) {
    this.#options = options;
  }

  /** Why the engine last did not tell, in words that follow "It"; null where it did. */
  get words(): string | null {
    if (this.#refusal === undefined) return null;
    return `waits for the container engine to tell what its container does: ${this.#refusal}`;
  }

  /** Seen, not reckoned: the engine's clock may be another than the store's. */
  get ranAfterStopRequest(): boolean {
    return this.#ranAfterStopRequest;
  }

  /** undefined = the engine is there but does not want to tell. Errors: SessionOver. */
  async ask(): Promise<ContainerStatus | undefined> {
    const { context, name, stopper } = this.#options;
    const { gate, runner, log } = context;
    // As requested before it was asked.
    const requested = this.#options.stopRequested();
    try {
      const status = await gate.through(() => runner.inspect(name));
      this.#refusal = undefined;
      if (requested && status.state === 'running') this.#ranAfterStopRequest = true;
      return status;
    } catch (error) {
      if (!isTappetError(error, 'ENGINE_REFUSED')) throw error;
      if (stopper.removed) {
        this.#refusal = undefined;
        return { state: 'missing' };
      }
      if (this.#refusal !== error.message)
        log.warn(`What ${name} does is not known; asking again: ${error.message}`);
      this.#refusal = error.message;
      return undefined;
    }
  }
}
