/**
 * The address that opens the page with a one-time code. A gateway that listens on every address of its machine is
 * named by the loopback one, which a browser on it can open.
 */
export function pageLink(url: string, code: string): string {
  const link = new URL('/', url);
  if (link.hostname === '0.0.0.0') link.hostname = '127.0.0.1';
  if (link.hostname === '[::]') link.hostname = '[::1]';
  link.search = `?code=${encodeURIComponent(code)}`;
  return link.href;
}
