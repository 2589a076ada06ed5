/**
 * Text that is done and must reach the container as it is. The executor renders every env value, arg and address that
 * names `${{`; without this, a sender could smuggle an expression into an event and have it evaluated there.
 */
export function literal(text: string): string {
  return text.replaceAll('${{', () => '$${{');
}
