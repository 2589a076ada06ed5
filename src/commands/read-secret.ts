import { createInterface, type Interface } from 'node:readline';
import { Writable, type Readable } from 'node:stream';
import { EXIT } from './exit-codes.ts';
import { ExitWith } from './io.ts';

/** More than a secret may have: whoever gets so much says so, and an endless input is read no further. */
const MAX_INPUT_BYTES = 65 * 1024;

export interface Terminal {
  readonly input: Readable & { readonly isTTY?: boolean };
  /** Where the question goes: not standard output, which is for data. */
  readonly output: Writable;
  readonly signal: AbortSignal;
}

/**
 * One line typed without an echo, where somebody sits at a terminal; else all of the input, as it came.
 * Errors: ExitWith(130) at Ctrl-C or a signal.
 */
export async function readSecret(terminal: Terminal, question: string): Promise<Uint8Array> {
  if (terminal.input.isTTY !== true) return readBytes(terminal.input);
  // Editing a line is readline's: it is shown what is typed, and nobody is shown what it draws.
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() });
  try {
    return Buffer.from((await askLine(terminal, unseen, () => terminal.output.write(question))) ?? '');
  } finally {
    terminal.output.write('\n');
  }
}

/** One line typed, where somebody sits at a terminal; else undefined. Errors: ExitWith(130) at Ctrl-C or a signal. */
export async function readAnswer(terminal: Terminal, question: string): Promise<string | undefined> {
  if (terminal.input.isTTY !== true) return undefined;
  let line: string | undefined;
  try {
    line = await askLine(terminal, terminal.output, (lines) => {
      lines.setPrompt(question);
      lines.prompt();
    });
    return line ?? '';
  } finally {
    // Whoever ends it by anything but Enter is left behind the question.
    if (line === undefined) terminal.output.write('\n');
  }
}

/** What a stream holds; cut where it is too large to be a secret. */
export async function readBytes(input: Readable): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of input as AsyncIterable<Buffer | string>) {
    chunks.push(Buffer.from(chunk));
    size += chunk.length;
    if (size > MAX_INPUT_BYTES) break;
  }
  return Buffer.concat(chunks);
}

/** `ask` is called when the terminal echoes nothing by itself any more. undefined = ended without a line. */
async function askLine(
  { input, signal }: Terminal,
  output: Writable,
  ask: (lines: Interface) => void,
): Promise<string | undefined> {
  const lines = createInterface({ input, output, terminal: true, historySize: 0, signal });
  ask(lines);
  try {
    return await new Promise<string | undefined>((resolve, reject) => {
      lines.once('line', resolve);
      lines.once('SIGINT', () => reject(new ExitWith(EXIT.interrupted)));
      // The signal, or Ctrl-D, or the end of the terminal.
      lines.once('close', () =>
        signal.aborted ? reject(new ExitWith(EXIT.interrupted)) : resolve(undefined),
      );
    });
  } finally {
    lines.close();
  }
}
