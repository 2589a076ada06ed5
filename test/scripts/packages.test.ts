import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkNode, dependenciesInstalled, hasComponent } from '../../scripts/lib/packages.mjs';
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
