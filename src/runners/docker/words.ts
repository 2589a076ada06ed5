/**
 * Whether `text` holds these words, one after the other, with anything in between; in lower case. By position, as a
 * regular expression with `.*` in its middle would begin anew at each first word.
 */
export function holdsInOrder(text: string, ...words: readonly string[]): boolean {
  const lower = text.toLowerCase();
  let at = 0;
  for (const word of words) {
    const found = lower.indexOf(word, at);
    if (found === -1) return false;
    at = found + word.length;
  }
  return true;
}
