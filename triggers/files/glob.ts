import picomatch from 'picomatch';
import { plainGlob } from './plain-glob.ts';

/** Decides by names alone which files a trigger is about; paths are relative to the watched folder, with `/`. */
export interface FileFilter {
  matches(path: string): boolean;
  /** Whether files below this folder can match; '' is the watched folder itself. */
  mayHold(folder: string): boolean;
  /** Folders below the watched one that may hold matches: at most so deep; undefined = any depth. */
  readonly depth: number | undefined;
}

/**
 * What programs call a file that they are still writing, by a piece of its name: browsers, download and copy tools,
 * editors, office programs. Such a file is passed over unless the last part of the glob has the same piece.
 */
const TEMPORARY: readonly { readonly piece: string; readonly at: 'start' | 'end' }[] = [
  { piece: '.part', at: 'end' },
  { piece: '.partial', at: 'end' },
  { piece: '.filepart', at: 'end' },
  { piece: '.crdownload', at: 'end' },
  { piece: '.tmp', at: 'end' },
  { piece: '.swp', at: 'end' },
  { piece: '~', at: 'end' },
  { piece: '~$', at: 'start' },
  { piece: '#', at: 'start' },
];

/**
 * The rule: what the glob matches, but for hidden files (a part of the path begins with a dot), unless the glob itself
 * spells that dot, and temporary ones, unless the glob names them so.
 */
export function createFilter(glob: string): FileFilter {
  // A name may hold a newline, which the dot of a regular expression would not match.
  const isMatch = plainGlob(glob) ?? picomatch(glob, { dot: false, flags: 's' });
  const parts = glob.split('/');
  const last = parts.at(-1) ?? glob;
  const temporary = TEMPORARY.filter(({ piece }) => !last.includes(piece));
  const spellsDots = /(^|[/{,(|!])\\?\./.test(glob);
  // Braces and brackets may hold a slash; then the number of parts says nothing.
  const depth = /\*\*|[{(!]/.test(glob) ? undefined : parts.length - 1;
  return {
    depth,
    matches(path) {
      const name = path.slice(path.lastIndexOf('/') + 1);
      if (temporary.some(({ piece, at }) => (at === 'end' ? name.endsWith(piece) : name.startsWith(piece)))) {
        return false;
      }
      return isMatch(path);
    },
    mayHold(folder) {
      if (folder === '') return true;
      const names = folder.split('/');
      if (depth !== undefined && names.length > depth) return false;
      return spellsDots || !names.some((name) => name.startsWith('.'));
    },
  };
}

/** undefined = a glob that can match something. */
export function globProblem(glob: string): string | undefined {
  if (glob.startsWith('/')) {
    return `"${glob}": a glob is relative to "path": write ${glob.replace(/^\/+/, '') || '**'}`;
  }
  if (glob.endsWith('/')) return `"${glob}" names a folder: write ${glob}** for the files below it`;
  if (glob.split('/').includes('..')) return `"${glob}" leads out of the folder: leave out ".."`;
  try {
    picomatch.makeRe(glob, { dot: false });
    return undefined;
  } catch (error) {
    return `"${glob}" is not a glob: ${error instanceof Error ? error.message : String(error)}`;
  }
}
