/** `repository` without, `tag` with what stands behind `:` or `@`. */
export interface ImageRef {
  readonly repository: string;
  readonly tag: string;
}

/** The path of a repository, as registries know it; before it may stand a host (with a dot, a port, or `localhost`). */
const NAME = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*$/;
const HOST = /^(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)(?::\d{1,5})?$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;

/**
 * null = not the name of an image. Without a tag it is `latest`, as the engine would pull every tag there is. What
 * passes is safe within the engine's URL: no empty part, no `..`, nothing that must be escaped.
 */
export function parseImageRef(image: string): ImageRef | null {
  if (image.length > 400) return null;
  const at = image.indexOf('@');
  // With a digest the tag says nothing more.
  const named = at < 0 ? image : image.slice(0, at);
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const repository = colon < 0 ? named : named.slice(0, colon);
  const written = colon < 0 ? 'latest' : named.slice(colon + 1);
  if (!isRepository(repository) || !TAG.test(written)) return null;
  const digest = at < 0 ? undefined : image.slice(at + 1);
  if (digest !== undefined && !DIGEST.test(digest)) return null;
  return { repository, tag: digest ?? written };
}

function isRepository(repository: string): boolean {
  const parts = repository.split('/');
  const [first = ''] = parts;
  const hasHost = parts.length > 1 && (/[.:A-Z]/.test(first) || first === 'localhost') && HOST.test(first);
  return parts.slice(hasHost ? 1 : 0).every((part) => NAME.test(part));
}
