import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  checkNode,
  dependenciesInstalled,
  ensureComponents,
  hasComponent,
} from '../../scripts/lib/packages.mjs';
import { tempFolder } from '../support/temp-folder.ts';

it('refuses an old Node and says what to do', () => {
  expect(() => checkNode('20.18.3')).toThrow(/20\.19 or newer; this is 20\.18\.3\.\nInstall/);
  expect(() => checkNode('18.20.0')).toThrow('20.19');
  expect(() => checkNode('20.19.0')).not.toThrow();
  expect(() => checkNode('26.0.0')).not.toThrow();
});

it('sees that a program is missing', () => {
  expect(hasComponent({ apt: 'coreutils', programs: ['sh', 'ls'] })).toBe(true);
  expect(hasComponent({ apt: 'none', programs: ['sh', 'no-such-program-here'] })).toBe(false);
});

it('installs again when a version differs from the lockfile or nothing is there', () => {
  const dir = tempFolder();
  const lock = (version: string) => JSON.stringify({ packages: { '': {}, 'node_modules/a': { version } } });
  writeFileSync(join(dir, 'package-lock.json'), lock('1.0.0'));
  expect(dependenciesInstalled(dir)).toBe(false);
  mkdirSync(join(dir, 'node_modules'));
  writeFileSync(join(dir, 'node_modules/.package-lock.json'), lock('1.0.1'));
  expect(dependenciesInstalled(dir)).toBe(false);
});

it('leaves alone what is installed here', () => {
  expect(dependenciesInstalled()).toBe(true);
});

/** A Debian machine of root's without anything; what it was told to do is kept. */
function machine(over: Partial<Parameters<typeof ensureComponents>[2]> = {}) {
  const programs = new Set<string>();
  const ran: string[] = [];
  const asked: string[] = [];
  const known: Record<string, readonly string[]> = { 'docker.io': ['dockerd'], wrk: ['wrk'] };
  return {
    programs,
    ran,
    asked,
    known,
    has: (component: { programs: readonly string[] }) => component.programs.every((one) => programs.has(one)),
    isDebianLike: () => true,
    isRoot: () => true,
    consent: async (what: string) => {
      asked.push(what);
      return true;
    },
    run: async (program: string, args: readonly string[]) => {
      // Without apt's options, which are the same each time.
      const words = [program, ...args.filter((arg) => !/^-[qo]$|::/.test(arg))];
      ran.push(words.join(' '));
      if (program === 'apt-cache')
        return { code: 0, output: known[args[1] ?? ''] === undefined ? '' : '  Candidate: 1.0\n' };
      for (const name of args) for (const brought of known[name] ?? []) programs.add(brought);
      return { code: 0, output: '' };
    },
    listsAge: () => 0,
    ...over,
  };
}

const WRK = { apt: 'wrk', programs: ['wrk'] };
const CLI = { apt: 'docker-cli', instead: 'docker.io', programs: ['docker'] };
const LINE = 'apt-get install --no-remove --no-install-recommends wrk';
const INSTALL_WRK = 'apt-get install -y --no-remove --no-install-recommends wrk';

describe('what a command needs', () => {
  it('is installed where it is missing, after consent, and what is there is left alone', async () => {
    const debian = machine();
    debian.programs.add('dockerd');
    const components = [WRK, { apt: 'docker.io', programs: ['dockerd'] }];
    await ensureComponents(components, 'to make load', debian);
    expect(debian.asked).toEqual([`installing the Debian packages wrk (needed to make load): ${LINE}`]);
    expect(debian.ran).toEqual([INSTALL_WRK]);
    await ensureComponents(components, 'to make load', debian);
    expect(debian.ran).toHaveLength(1);
  });

  it('is one line to type for who is not root', async () => {
    const debian = machine({ isRoot: () => false });
    const failing = ensureComponents([WRK], 'to make load', debian);
    await expect(failing).rejects.toThrow(`needed to make load). This line installs them:\n  sudo ${LINE}`);
    expect(debian.ran).toEqual([]);
  });

  it('is one line to type for who says no', async () => {
    const debian = machine({ consent: async () => false });
    await expect(ensureComponents([WRK], 'to make load', debian)).rejects.toThrow(`it:\n  ${LINE}`);
    expect(debian.ran).toEqual([]);
  });

  it('is named where there is no apt', async () => {
    const other = machine({ isDebianLike: () => false });
    await expect(ensureComponents([WRK], 'to make load', other)).rejects.toThrow(
      "Missing: wrk (needed to make load). Install them with your system's package manager.",
    );
    expect(other.ran).toEqual([]);
  });

  it('is looked for in fresh lists where the old ones are old or wrong; what apt says is passed on', async () => {
    const old = machine({ listsAge: () => Infinity });
    await ensureComponents([WRK], 'x', old);
    expect(old.ran).toEqual(['apt-get update', INSTALL_WRK]);
    const failing = machine({
      run: async (program: string, args: readonly string[]) => {
        failing.ran.push(`${program} ${args.find((arg) => /^[a-z]+$/.test(arg))}`);
        return { code: 100, output: 'E: no such version' };
      },
    });
    await expect(ensureComponents([WRK], 'x', failing)).rejects.toThrow(/install wrk:\nE: no such version/);
    expect(failing.ran).toEqual(['apt-get install', 'apt-get update', 'apt-get install']);
  });

  it('comes from the package that has it in this release: docker-cli is one of its own since Debian 13', async () => {
    const twelve = machine();
    twelve.known['docker.io'] = ['dockerd', 'docker'];
    await ensureComponents([CLI], 'x', twelve);
    expect(twelve.ran.at(-1)).toMatch(/install .* docker\.io$/);

    const thirteen = machine();
    thirteen.known['docker-cli'] = ['docker'];
    await ensureComponents([CLI], 'x', thirteen);
    expect(thirteen.ran.at(-1)).toMatch(/install .* docker-cli$/);
    expect(thirteen.programs).toContain('docker');

    // Debian 13 before its first `apt-get update`.
    const bare = machine({ listsAge: () => Infinity });
    const { run } = bare;
    bare.run = async (program: string, args: readonly string[]) => {
      if (args.includes('update')) bare.known['docker-cli'] = ['docker'];
      return run(program, args);
    };
    await ensureComponents([CLI], 'x', bare);
    expect(bare.programs).toContain('docker');
  });
});
