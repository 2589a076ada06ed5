/** What browsers and players need to be told; for all else a store's own default is as good as a guess. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['avif', 'image/avif'],
  ['csv', 'text/csv'],
  ['gif', 'image/gif'],
  ['htm', 'text/html'],
  ['html', 'text/html'],
  ['jpeg', 'image/jpeg'],
  ['jpg', 'image/jpeg'],
  ['json', 'application/json'],
  ['m3u8', 'application/vnd.apple.mpegurl'],
  ['m4s', 'video/iso.segment'],
  ['mp3', 'audio/mpeg'],
  ['mp4', 'video/mp4'],
  ['mpd', 'application/dash+xml'],
  ['pdf', 'application/pdf'],
  ['png', 'image/png'],
  ['svg', 'image/svg+xml'],
  ['ts', 'video/mp2t'],
  ['txt', 'text/plain'],
  ['vtt', 'text/vtt'],
  ['webm', 'video/webm'],
  ['webp', 'image/webp'],
  ['xml', 'application/xml'],
  ['zip', 'application/zip'],
]);

/** The media type by the end of a key; undefined where it does not tell. */
export function contentTypeOf(key: string): string | undefined {
  const [, extension] = /\.([a-z0-9]+)$/i.exec(key) ?? [];
  return extension === undefined ? undefined : TYPES.get(extension.toLowerCase());
}
