import type { ObjectBody, ObjectInfo, Objects, ObjectStore } from '../../../src/core/objects.ts';

/** Object stores as one process sees them: `awake` settles when it may go on, which a dead one never may. */
export function mortalObjects(objects: Objects, awake: () => Promise<void>): Objects {
  async function* each(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      await awake();
      yield chunk;
    }
  }
  async function answered<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } finally {
      await awake();
    }
  }
  const wrap = (store: ObjectStore): ObjectStore => {
    const get: ObjectStore['get'] = async (...args): Promise<ObjectBody | null> => {
      await awake();
      const found = await answered(store.get(...args));
      return found === null ? null : { ...found, body: each(found.body) };
    };
    const put: ObjectStore['put'] = async (address, body, params): Promise<ObjectInfo> => {
      await awake();
      return answered(store.put(address, each(body), params));
    };
    return Object.assign(Object.create(store) as ObjectStore, { get, put });
  };
  return {
    connection: (name) => {
      const store = objects.connection(name);
      return store === undefined ? undefined : wrap(store);
    },
  };
}
