import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const README = join(import.meta.dirname, '../../../examples/images/README.md');

it('the recipe of examples/images makes an image that runs', () => {
  const recipe = /```sh\n(.*?)```/s.exec(readFileSync(README, 'utf8'))?.[1] ?? '';
  const image = 'tappet-test/recipe:1';
  const env = { ...process.env, IMAGE: image };
  execFileSync('sh', ['-eu'], { input: recipe, env });
  const run = [
    'run',
    '--rm',
    '--network=none',
    '--user=nobody',
    image,
    'sh',
    '-c',
    'id -un; touch /tmp/mine; ls /tmp',
  ];
  expect(execFileSync('docker', run, { env, encoding: 'utf8' })).toBe('nobody\nmine\n');
  execFileSync('docker', ['image', 'rm', image], { env });
});
