/** What means more to a glob than the two stars, `?` and lists in braces. */
const MORE = /[[\]()!+|\\"'^$<>&]/;
/** One brace after the other multiplies. */
const MAX_GLOBS = 64;

/**
 * The matcher of a glob of text, `*`, `**`, `?` and lists such as `{csv,tsv}`, where it is one: in time that grows with
 * the path, however many stars there are. A regular expression tries the places of one star after the other for each
 * of the next, which with four of them and a name of 255 bytes takes seconds, and who writes files chooses their names.
 * Hidden files match only where the glob spells the dot. undefined = a glob that has more.
 */
export function plainGlob(glob: string): ((path: string) => boolean) | undefined {
  if (MORE.test(glob)) return undefined;
  const globs = spelledOut(glob)?.map((one) => one.split('/').filter(isNoRepeat));
  if (globs === undefined || !globs.every((parts) => parts.every(isPlain))) return undefined;
  return (path) => {
    // As picomatch has it: the file whose name is the glob itself.
    if (path === glob) return true;
    const names = path.split('/');
    return globs.some((parts) => fits(parts, names));
  };
}

/** With each word of its lists; undefined where these are none of plain words, or too many. */
function spelledOut(glob: string): readonly string[] | undefined {
  const [before = '', ...rest] = glob.split('{');
  let globs = [before];
  for (const piece of rest) {
    const [list = '', after, ...more] = piece.split('}');
    const words = list.split(',');
    if (after === undefined || more.length > 0 || words.length < 2) return undefined;
    if (words.some((word) => word === '' || /[*?/]|\.\./.test(word))) return undefined;
    globs = globs.flatMap((one) => words.map((word) => one + word + after));
    if (globs.length > MAX_GLOBS) return undefined;
  }
  return before.includes('}') ? undefined : globs;
}

/**
 * `**` is a part of its own; beside other text it would mean the same as `*`. Of `*.*` picomatch wants something behind
 * the dot, of no other part that ends in a star.
 */
const isPlain = (part: string): boolean =>
  part === '**' || (part !== '' && part !== '.' && part !== '*.*' && !part.includes('**'));

/** Several `**` one after the other are one, also to the rule below. */
const isNoRepeat = (part: string, at: number, parts: readonly string[]): boolean =>
  part !== '**' || parts[at - 1] !== '**';

/** As picomatch has it: `in/**` matches a file of the name `in`; but behind a star a `**` at the end wants a folder. */
const mayBeNothing = (parts: readonly string[], at: number): boolean =>
  at < parts.length - 1 || parts[at - 1]?.endsWith('*') !== true;

/** All places of the glob where the path could be are followed at once. */
function fits(parts: readonly string[], names: readonly string[]): boolean {
  const add = (places: Set<number>, at: number): void => {
    places.add(at);
    if (parts[at] === '**' && mayBeNothing(parts, at)) add(places, at + 1);
  };
  let places = new Set<number>();
  add(places, 0);
  for (const name of names) {
    const after = new Set<number>();
    for (const at of places) {
      const part = parts[at];
      if (part === undefined) continue;
      if (part !== '**') {
        if (fitsName(part, name)) add(after, at + 1);
      } else if (!name.startsWith('.')) {
        add(after, at);
        add(after, at + 1);
      }
    }
    places = after;
  }
  return places.has(parts.length);
}

/** The last star alone takes more, where the rest does not fit: what the stars before it took is never too much. */
function fitsName(part: string, name: string): boolean {
  if (name.startsWith('.') && !part.startsWith('.')) return false;
  let at = 0;
  let star = -1;
  let taken = 0;
  for (let i = 0; i < name.length;) {
    if (part[at] === '*') {
      star = at++;
      taken = i;
    } else if (at < part.length && (part[at] === '?' || part[at] === name[i])) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++taken;
    } else return false;
  }
  while (part[at] === '*') at++;
  return at === part.length;
}
