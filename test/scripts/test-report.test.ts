import { describe, expect, it } from 'vitest';
import { countTests } from '../../scripts/lib/test-report.mjs';

const report = (status: string, ...assertions: [status: string, title: string][]) => ({
  testResults: [
    {
      name: 'a.test.ts',
      status,
      assertionResults: assertions.map(([state, fullName]) => ({ status: state, fullName })),
    },
  ],
});

describe('the count of npm test', () => {
  it('adds up', () => {
    const counted = countTests(report('failed', ['passed', 'a'], ['passed', 'b'], ['failed', 'c']), {
      filtered: false,
    });
    expect(counted).toEqual({ passed: 2, failed: 1, skipped: 0, problems: [] });
  });

  it('counts a file that fails before its first test', () => {
    expect(countTests(report('failed'), { filtered: false }).failed).toBe(1);
  });

  it('lets a skip pass that names what the engine lacks, and no other', () => {
    const skips = report(
      'passed',
      ['passed', 'a'],
      ['skipped', 'b [needs seccomp]'],
      ['todo', 'c [needs time]'],
      ['skipped', 'd'],
      // What packages bring is not lacking: the set-up installs it, or the run has failed.
      ['skipped', 'e [needs own-dockerd]'],
      ['skipped', 'f [needs docker-cli]'],
    );
    const counted = countTests(skips, { filtered: false });
    expect(counted.skipped).toBe(5);
    expect(counted.problems).toEqual([
      'skipped without a declared reason: c [needs time]',
      'skipped without a declared reason: d',
      'skipped without a declared reason: e [needs own-dockerd]',
      'skipped without a declared reason: f [needs docker-cli]',
    ]);
  });

  it('does not count what was left out by name', () => {
    const counted = countTests(report('passed', ['passed', 'a'], ['skipped', 'b']), { filtered: true });
    expect(counted).toEqual({ passed: 1, failed: 0, skipped: 0, problems: [] });
  });

  it('does not call it a success when nothing ran', () => {
    expect(countTests({ testResults: [] }, { filtered: true }).problems).toEqual(['no test ran']);
  });
});
