import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { engineRequest, importImage } from './engine.ts';

/** Volumes, asked of an engine itself. */
export interface EngineVolumes {
  /** The name of an image that declares a volume at `VOLUME`. */
  image(): Promise<string>;
  /** Those that the engine has. */
  names(): Promise<string[]>;
}

export const VOLUME = '/data';
const IMAGE = 'tappet-test/volume:1';

export function engineVolumes(endpoint: EngineEndpoint): EngineVolumes {
  return {
    image: async () => {
      await importImage(endpoint, IMAGE, {}, [`VOLUME ${VOLUME}`]);
      return IMAGE;
    },
    names: async () => {
      const { status, body } = await engineRequest(endpoint, 'GET', '/v1.41/volumes');
      if (status !== 200) throw new Error(`The engine does not list its volumes: ${status} ${body}`);
      const { Volumes } = JSON.parse(body) as { Volumes: { Name: string }[] | null };
      return (Volumes ?? []).map(({ Name }) => Name).sort();
    },
  };
}
