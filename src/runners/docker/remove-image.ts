import { wholeImage } from '../../lib/image-pattern.ts';
import type { EngineClient } from './engine-client.ts';

const NO_TAG = '<none>:<none>';

/**
 * Removes an image that was pulled as `name`: not where it has another name too, as somebody gave it that, nor by force,
 * so that the engine keeps what a container (running or not) or another image is made of.
 */
export async function removeImage(
  client: EngineClient,
  digest: string,
  name: string,
): Promise<'removed' | 'kept' | 'missing'> {
  const found = await client.inspectImage(digest);
  if (found === null) return 'missing';
  const own = wholeImage(name);
  if (found.repoTags.some((tag) => tag !== NO_TAG && wholeImage(tag) !== own)) return 'kept';
  return client.removeImage(digest);
}
