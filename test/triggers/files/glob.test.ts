import { describe, expect, it } from 'vitest';
import { createFilter, globProblem } from '../../../triggers/files/glob.ts';

describe('which files a glob is about', () => {
  it.each<[string, string[], string[]]>([
    ['**', ['a', 'a.csv', 'in/a', 'in/b/c'], ['.a', '.x.swp', 'in/.a', '.git/a']],
    ['*.csv', ['a.csv'], ['in/a.csv', 'a.txt', '.a.csv', 'a.csv~', 'a.csv.part']],
    ['**/*.csv', ['a.csv', 'in/a.csv'], ['a.CSV']],
    ['in/*.{mov,mp4}', ['in/a.mov', 'in/a.mp4'], ['in/a.mkv', 'a.mov', 'in/x/a.mov']],
    [
      '**',
      [],
      ['a.tmp', 'a.part', 'a.partial', 'a.filepart', 'a.crdownload', 'a~', '~$a.docx', '#a#', 'in/a.tmp'],
    ],
    ['*.tmp', ['a.tmp'], ['a.part', '.a.tmp']],
    ['.hidden/*', ['.hidden/a'], ['a']],
    ['**/.env', ['.env', 'in/.env'], ['env']],
    ['!*.log', ['a.csv'], ['a.log']],
  ])('%s', (glob, yes, no) => {
    const filter = createFilter(glob);
    expect(yes.filter((path) => !filter.matches(path))).toEqual([]);
    expect(no.filter((path) => filter.matches(path))).toEqual([]);
  });

  it.each<[string, string[], string[]]>([
    ['*.csv', [''], ['in']],
    ['in/*.csv', ['', 'in'], ['in/b']],
    ['**', ['', 'in', 'in/b'], ['.git', 'in/.cache/x']],
    ['{in/a,b}/*', ['in/a'], []],
    ['.git/*', ['.git'], ['.git/a']],
  ])('%s looks into no folder for nothing', (glob, yes, no) => {
    const filter = createFilter(glob);
    expect(yes.filter((folder) => !filter.mayHold(folder))).toEqual([]);
    expect(no.filter((folder) => filter.mayHold(folder))).toEqual([]);
  });
});

describe('a glob that can match nothing', () => {
  it.each([
    ['/srv/in/*.csv', '"/srv/in/*.csv": a glob is relative to "path": write srv/in/*.csv'],
    ['in/', '"in/" names a folder: write in/** for the files below it'],
    ['../*.csv', '"../*.csv" leads out of the folder: leave out ".."'],
  ])('%s is refused', (glob, problem) => expect(globProblem(glob)).toBe(problem));

  it('is nothing else', () => expect(globProblem('in/**/*.{csv,tsv}')).toBeUndefined());
});
