/** At most `max` characters of a text, with an ellipsis where it goes on. */
export function clip(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}
