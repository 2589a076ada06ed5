import { TappetError } from '../../core/errors.ts';
import { LABELS } from './container-spec.ts';
import type { EngineClient } from './engine-client.ts';

/** Whether containers of the bridge reach one another. Podman's bridge knows no such option. */
const BETWEEN = 'com.docker.network.bridge.enable_icc';

/** The bridge that this instance's containers share: outbound traffic goes, between two of them none does (on Docker). */
export class JobNetwork {
  readonly name: string;
  readonly #client: EngineClient;
  readonly #instance: string;
  #ensured: Promise<void> | null = null;

  constructor(client: EngineClient, instance: string, name: string) {
    this.#client = client;
    this.#instance = instance;
    this.name = name;
  }

  /** Made if it is not there; asked once. Errors: CONTAINER_CONFLICT, ENGINE_UNAVAILABLE. */
  ensure(): Promise<void> {
    if (this.#ensured !== null) return this.#ensured;
    const ensured = this.#make();
    this.#ensured = ensured;
    ensured.catch(() => this.forget());
    return ensured;
  }

  /** Somebody removed it. */
  forget(): void {
    this.#ensured = null;
  }

  async #make(): Promise<void> {
    const { kind } = await this.#client.version();
    if (await this.#isThere(kind)) return;
    await this.#client.createNetwork({
      Name: this.name,
      Driver: 'bridge',
      CheckDuplicate: true,
      Labels: { [LABELS.instance]: this.#instance },
      // Podman refuses what it does not know.
      Options: kind === 'docker' ? { [BETWEEN]: 'false' } : {},
    });
    await this.#isThere(kind);
  }

  async #isThere(kind: 'docker' | 'podman'): Promise<boolean> {
    const found = await this.#client.inspectNetwork(this.name);
    if (found === null) return false;
    const ours = found.Labels?.[LABELS.instance] === this.#instance;
    const apart = kind === 'podman' || found.Options?.[BETWEEN] === 'false';
    if (ours && apart) return true;
    const message = ours
      ? `The engine's network "${this.name}" lets containers reach one another: it was not made by a gateway on this engine.`
      : `The engine has a network "${this.name}" that this gateway did not make: jobs would share it with strangers.`;
    throw new TappetError('CONTAINER_CONFLICT', message, {
      fix: `Remove it (docker network rm ${this.name}) or name another.`,
    });
  }
}
