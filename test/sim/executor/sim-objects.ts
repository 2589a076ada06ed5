import { TappetError } from '../../../src/core/errors.ts';
import type {
  ObjectAddress,
  ObjectBody,
  Objects,
  ObjectStore,
  PutParams,
} from '../../../src/core/objects.ts';
import { storeAway, accessDenied, StagingStore } from '../../support/staging-fakes.ts';
import type { VirtualTime } from '../virtual-time.ts';

/** The client of a store gives a call up after so long without a byte. */
const SILENT_MS = 30_000;
const SLOW_MS = 5_000;

export type ObjectFault = 'away' | 'denied' | 'silent' | 'slow' | 'breaks off';

/** An object store that is away, silent, slow or breaks off for a time; what it has taken is there as a whole. */
export class SimObjects implements Objects {
  readonly store = new StagingStore();
  fault: ObjectFault | undefined;
  readonly #time: VirtualTime;
  readonly #connection: ObjectStore;

  constructor(time: VirtualTime) {
    this.#time = time;
    const { store } = this;
    this.#connection = Object.assign(Object.create(store) as ObjectStore, {
      get: (address: ObjectAddress, signal?: AbortSignal) => this.#get(address, signal),
      put: (address: ObjectAddress, body: AsyncIterable<Uint8Array>, params: PutParams) =>
        this.#turn(params.signal).then(() => store.put(address, body, params)),
    });
  }

  connection(name: string): ObjectStore | undefined {
    return name === this.store.name ? this.#connection : undefined;
  }

  async #get(address: ObjectAddress, signal: AbortSignal | undefined): Promise<ObjectBody | null> {
    await this.#turn(signal);
    const found = await this.store.get(address, signal);
    return found === null ? null : { ...found, body: this.#body(found.body) };
  }

  async *#body(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let chunks = 0;
    for await (const chunk of body) {
      yield chunk;
      if (++chunks > 1) continue;
      if (this.fault === 'slow') await this.#pause(SLOW_MS, undefined);
      if (this.fault === 'breaks off') throw storeAway();
    }
  }

  async #turn(signal: AbortSignal | undefined): Promise<void> {
    const { fault } = this;
    if (fault === 'away') throw storeAway();
    if (fault === 'denied') throw accessDenied();
    if (fault === 'slow') await this.#pause(SLOW_MS, signal);
    if (fault !== 'silent') return;
    await this.#pause(SILENT_MS, signal);
    throw new TappetError('OBJECT_STORE_UNAVAILABLE', 'The object store gave no byte for 30 s.');
  }

  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#time.setTimer(ms, resolve);
      signal?.addEventListener('abort', () => (cancel(), resolve()), { once: true });
    });
    signal?.throwIfAborted();
  }
}
