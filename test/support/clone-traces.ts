import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import type { describeClone } from '../../scripts/lib/clone.mjs';

type Clone = ReturnType<typeof describeClone>;

/** What the private engine of this clone shows on the machine. */
export function engineTraces(clone: Clone): string[] {
  const commands = [
    'ip -o link',
    'iptables -S',
    'iptables -t nat -S',
    'ps -eo args',
    'cat /proc/self/mountinfo',
  ];
  const marks = [clone.bridge, clone.tempDir, clone.stateDir];
  const shown = commands.flatMap((command) =>
    spawnSync('sh', ['-c', command], { encoding: 'utf8' }).stdout.split('\n'),
  );
  const lines = shown.filter((line) => marks.some((mark) => line.includes(mark)));
  return existsSync(clone.tempDir) ? [...lines, clone.tempDir] : lines;
}

/** Processes that run in this folder. */
export function processesIn(dir: string): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => {
    try {
      const cwd = readlinkSync(`/proc/${pid}/cwd`);
      return cwd === dir || cwd.startsWith(`${dir}/`);
    } catch {
      return false;
    }
  });
}
