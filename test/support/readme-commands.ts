import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { expect } from 'vitest';

/** A command of a README, as it stands behind `$ `, and what the README shows of its output. */
export interface ReadmeCommand {
  readonly line: string;
  readonly shown: string;
}

/** The commands in the ```console blocks of a page, in order. */
export function readmeCommands(page: string): ReadmeCommand[] {
  const blocks = [...page.matchAll(/^```console\n(.*?)^```$/gms)].map(([, body = '']) => body);
  return blocks.flatMap((body) =>
    body
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const [line = '', ...rest] = part.split('\n');
        return { line, shown: rest.join('\n').trimEnd() };
      }),
  );
}

/** Runs one in a shell. Gives its exit code, and all it wrote in the order in which it did. */
export async function runCommand(
  line: string,
  { cwd, env }: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
): Promise<{ readonly code: number; readonly output: string }> {
  const script = `npx() { shift; "$NODE" "$TAPPET" "$@"; }\nexec 2>&1\n${line}\n`;
  const child = spawn('sh', ['-c', script], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? -1));
  });
  const output = await text(child.stdout);
  return { code: await ended, output };
}

/** `…` in what is shown stands for anything: within a line, or, alone on one, for any lines. */
export function expectShown({ line, shown }: ReadmeCommand, output: string): void {
  if (shown === '') return;
  const pattern = shown
    .split('\n')
    .map((one) => (one.trim() === '…' ? '(?:.*\\n)*?' : `${inLine(one)}\\n`))
    .join('');
  expect(output, `what the README shows of: ${line}\nAs a pattern: ${pattern}`).toMatch(
    new RegExp(`^${pattern}\\s*$`),
  );
}

const inLine = (shown: string): string =>
  shown
    .trimEnd()
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*?') + ' *';
