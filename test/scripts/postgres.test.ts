import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findPostgres } from '../../scripts/lib/postgres.mjs';
import { tempFolder } from '../support/temp-folder.ts';

const SCRIPTS = join(import.meta.dirname, '../../scripts');

describe('PostgreSQL', () => {
  it('is found where its programs are, the newest first', () => {
    const dir = tempFolder();
    expect(findPostgres(join(dir, 'none'))).toBeUndefined();
    const put = (version: string, programs: readonly string[]): void => {
      const bin = join(dir, version, 'bin');
      mkdirSync(bin, { recursive: true });
      for (const program of programs) writeFileSync(join(bin, program), '', { mode: 0o755 });
    };
    // A client alone is no server.
    put('17', ['psql']);
    expect(findPostgres(dir)).toBeUndefined();
    put('9.6', ['postgres', 'initdb', 'psql']);
    put('15', ['postgres', 'initdb', 'psql']);
    expect(findPostgres(dir)).toBe(join(dir, '15/bin'));
  });

  it('the demo and the other commands do without', () => {
    const commands = readdirSync(SCRIPTS).filter((name) => name.endsWith('.mjs'));
    const asking = commands.filter((name) =>
      readFileSync(join(SCRIPTS, name), 'utf8').includes('ensurePostgres'),
    );
    expect(asking).toEqual(['test.mjs']);
  });
});
