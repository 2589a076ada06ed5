import { describe, expect, it } from 'vitest';
import { schema } from '../../../triggers/files/config.ts';

const parse = (more: Record<string, unknown>) =>
  schema.safeParse({ kind: 'files', path: './in', ...more }, { reportInput: true });

describe('source of kind files', () => {
  it('has every default, and its path as written', () => {
    expect(schema.parse({ kind: 'files', path: './in' })).toEqual({
      kind: 'files',
      path: './in',
      glob: '**',
      existing: 'skip',
      settleMs: 2000,
      pollMs: 0,
    });
  });

  it('takes what is written', () => {
    const written = { glob: '*.csv', existing: 'run', settle: '500ms', poll: '1m' };
    expect(parse(written).data).toMatchObject({
      glob: '*.csv',
      existing: 'run',
      settleMs: 500,
      pollMs: 60_000,
    });
  });

  it.each<[Record<string, unknown>, string, string]>([
    [{ path: '' }, 'path', ''],
    [{ glob: '/a' }, 'glob', '"/a": a glob is relative to "path": write a'],
    [{ existing: 'maybe' }, 'existing', ''],
    [{ settle: 2 }, 'settle', 'must have a unit: write "2s"'],
    [{ settle: 'soon' }, 'settle', '"soon" is not a duration'],
    [{ settle: '2d' }, 'settle', 'must be between 0s and 1d, not 2d'],
    [{ poll: '10ms' }, 'poll', 'must be 0s (off) or between 1s and 1d, not 10ms'],
    [{ pol: '1s' }, '', 'unknown key "pol": did you mean "poll"?'],
  ])('refuses %j at its place', (more, path, message) => {
    const issues = parse(more).error?.issues ?? [];
    expect(issues.map((issue) => issue.path.join('.'))).toEqual([path]);
    expect(issues[0]?.message).toContain(message);
  });
});
