import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const RULES = join(ROOT, '.dependency-cruiser.cjs');

/** A violation of each rule: the file, and what it must not import. */
const PLANTED: Record<string, readonly [file: string, imported: string][]> = {
  'room-src-core': [['src/core/a.ts', '../http/app.ts']],
  'room-src-lib': [['src/lib/a.ts', '../core/job.ts']],
  'room-src-auth': [['src/auth/a.ts', '../expr/b.ts']],
  'room-src-bodies': [['src/bodies/a.ts', '../inbox/b.ts']],
  'room-src-expr': [['src/expr/a.ts', '../auth/b.ts']],
  'room-src-logs': [['src/logs/a.ts', '../stores/sqlite/b.ts']],
  'room-src-notify': [['src/notify/a.ts', '../http/app.ts']],
  'room-src-objects': [['src/objects/a.ts', '../secrets/b.ts']],
  'room-src-secrets': [['src/secrets/a.ts', '../config/b.ts']],
  'room-src-client': [['src/client/a.ts', '../http/app.ts']],
  'room-src-inbox': [['src/inbox/a.ts', '../routing/b.ts']],
  'room-src-routing': [['src/routing/a.ts', '../stores/sqlite/b.ts']],
  'room-src-executor': [['src/executor/a.ts', '../runners/docker/b.ts']],
  'room-src-maintenance': [['src/maintenance/a.ts', '../logs/b.ts']],
  'room-src-http': [['src/http/a.ts', '../stores/sqlite/b.ts']],
  'siblings-triggers': [
    ['triggers/cron/a.ts', '../webhook/b.ts'],
    ['triggers/cron/c.ts', '../../src/inbox/b.ts'],
  ],
  'siblings-src-runners': [['src/runners/docker/a.ts', '../../stores/sqlite/b.ts']],
  'siblings-src-stores': [['src/stores/sqlite/a.ts', '../../expr/b.ts']],
  'home-of-hono': [['src/lib/h1.ts', 'hono']],
  'home-of-hononode-server': [['src/lib/h2.ts', '@hono/node-server']],
  'home-of-jose': [['src/http/h3.ts', 'jose']],
  'home-of-bufbuildcel': [['src/routing/h4.ts', '@bufbuild/cel']],
  'home-of-dockerode': [['src/runners/h5.ts', 'dockerode']],
  'home-of-better-sqlite3': [['src/stores/h6.ts', 'better-sqlite3']],
  'home-of-croner': [['triggers/webhook/h7.ts', 'croner']],
  'home-of-aws-sdk': [['src/executor/h10.ts', '@aws-sdk/client-s3']],
  'home-of-chokidar': [['triggers/storage/h11.ts', 'chokidar']],
  'home-of-picomatch': [['triggers/storage/h12.ts', 'picomatch']],
  'home-of-tar-stream': [['src/executor/h13.ts', 'tar-stream']],
  'home-of-ipaddr.js': [['src/auth/h14.ts', 'ipaddr.js']],
  'home-of-commander': [['src/http/h8.ts', 'commander']],
  'home-of-pino': [['src/http/h9.ts', 'pino']],
  'config-of-leaves-and-kinds': [
    ['src/config/a.ts', '../inbox/b.ts'],
    ['src/config/c.ts', '../../triggers/cron/source.ts'],
  ],
  'commands-talk-through-the-client': [['src/commands/jobs.ts', '../http/app.ts']],
  'commands-that-run-here': [['src/commands/serve.ts', '../stores/sqlite/b.ts']],
  'secrets-stay-in-the-folder': [['src/commands/secrets.ts', '../http/app.ts']],
  'registry-of-kinds': [['triggers/index.ts', '../src/inbox/b.ts']],
  'only-main-knows-all': [['src/http/m.ts', '../main.ts']],
  'product-knows-no-tests': [['src/lib/t.ts', '../../test/support/b.ts']],
  // A cycle is reported once, where it is met first; its other half stands below.
  'no-cycle': [['src/executor/x.ts', './y.ts']],
  'no-unlisted-package': [['src/lib/u.ts', 'vitest']],
  'every-import-resolves': [['src/lib/v.ts', './nowhere.ts']],
};

/** Allowed imports that a rule which is too broad would forbid. */
const ALLOWED: readonly [file: string, imported: string][] = [
  ['src/executor/y.ts', './x.ts'],
  ['src/http/ok.ts', 'hono'],
  ['src/executor/ok.ts', '../core/job.ts'],
  ['src/config/ok.ts', '../../triggers/cron/config.ts'],
  ['src/config/ok.ts', '../objects/config.ts'],
  ['src/commands/doctor.ts', '../main.ts'],
  ['triggers/cron/ok.ts', 'croner'],
  ['src/main.ts', './stores/sqlite/b.ts'],
];

interface Violation {
  readonly from: string;
  readonly rule: { readonly name: string };
}

describe('the import rules', () => {
  const violations = cruise();

  it.each(Object.keys(PLANTED))('%s sees its planted violation', (rule) => {
    const seen = violations.filter((one) => one.rule.name === rule).map(({ from }) => from);
    expect(seen).toEqual(expect.arrayContaining(PLANTED[rule]?.map(([file]) => file) ?? []));
  });

  it('let pass what is allowed', () => {
    const allowed = new Set(ALLOWED.map(([file]) => file));
    expect(violations.filter(({ from }) => allowed.has(from))).toEqual([]);
  });

  it('have a planted violation each', () => {
    const { forbidden } = createRequire(import.meta.url)(RULES) as { forbidden: { name: string }[] };
    expect(Object.keys(PLANTED).toSorted()).toEqual(forbidden.map(({ name }) => name).toSorted());
  });
});

/** Lays the files out in a folder of their own and runs the real rules over them, once. */
function cruise(): readonly Violation[] {
  const dir = mkdtempSync(join(tmpdir(), 'rules-'));
  for (const file of ['package.json', 'tsconfig.json', '.dependency-cruiser.cjs'])
    cpSync(join(ROOT, file), join(dir, file));
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  const planted = [...Object.values(PLANTED).flat(), ...ALLOWED];
  for (const [file, imported] of planted) write(join(dir, file), `import '${imported}';\n`);
  for (const [file, imported] of planted) {
    const target = join(dir, dirname(file), imported);
    const exists = planted.some(([other]) => join(dir, other) === target);
    if (imported.startsWith('.') && !exists && !imported.includes('nowhere')) write(target, 'export {};\n');
  }
  const cli = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const args = [cli, 'src', 'triggers', '--output-type', 'json'];
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: dir,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  rmSync(dir, { recursive: true, force: true });
  if (stdout === '') throw new Error(stderr);
  return (JSON.parse(stdout) as { summary: { violations: Violation[] } }).summary.violations;
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
