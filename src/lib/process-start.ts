import { readFile } from 'node:fs/promises';

/**
 * When a process started, in a form that no other process shares: a number of a process is given again after it has
 * ended. null = this system does not tell (no `/proc`), or there is no such process.
 */
export async function processStart(pid: number): Promise<string | null> {
  try {
    const [stat, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
    ]);
    // The name, field 2, may hold blanks and brackets; what follows its last bracket begins with field 3, and the
    // start is field 22: clock ticks since the boot.
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return ticks === undefined ? null : `${boot.trim()}/${ticks}`;
  } catch {
    return null;
  }
}
