import { createHash } from 'node:crypto';
import type { LogStream } from '../../src/core/log-sink.ts';
import type { ContainerSpec } from '../../src/core/runner.ts';
import type { Script } from './fake-container.ts';
import type { ReceivedFile } from './fake-files.ts';

/** What a program is given at its start. */
interface Given {
  readonly spec: ContainerSpec;
  /** The files that were put into its container, when it asks for them. */
  readonly files: () => readonly ReceivedFile[];
}
type Program = (given: Given) => Script;

const LINES = 100_000;
const CHUNK = 64 * 1024;
const SIXTEEN = '0123456789abcde\n';
const KILLED_FOR_MEMORY = { exitCode: 137, signal: 'SIGKILL', oomKilled: true };

/** Puts it out and ends. */
const says =
  (text: string, exitCode = 0): Program =>
  () => ({ output: text === '' ? [] : [{ text }], exitAt: 20, exit: { exitCode } });
const runs = (script: Script = {}): Program => {
  return () => script;
};
const leaves = (files: Readonly<Record<string, string | Uint8Array>>): Program =>
  runs({ exitAt: 10, leaves: files });
const unstartable = (startError: string): Program => runs({ startError });

/** The shell scripts of the contract of runners, each as an engine without a shell is to play it. */
const PROGRAMS: Readonly<Record<string, Program>> = {
  '': says(''),
  true: says(''),
  'exit 7': says('', 7),
  'exit 127': says('', 127),
  'exit 143': says('', 143),
  'echo one; echo two >&2; printf "three"': runs({
    output: [{ text: 'one\n' }, { stream: 'stderr', text: 'two\n' }, { text: 'three' }],
    exitAt: 20,
  }),
  'echo "$CLOUD_RUN_TASK_INDEX|$LINES|$1|$2"; pwd; id -u': ({ spec }) =>
    says(
      `${spec.env['CLOUD_RUN_TASK_INDEX']}|${spec.env['LINES']}|${spec.args?.slice(1).join('|')}\n${spec.workingDir}\n${spec.user === 'app' ? 1000 : 0}\n`,
    )({ spec, files: () => [] }),
  'exec tail /dev/zero': runs({ exitAt: 20, exit: KILLED_FOR_MEMORY }),
  'tail /dev/zero; exit 0': runs({ exitAt: 20, exit: { exitCode: 0, oomKilled: true } }),
  'sleep 300': runs(),
  'exec sleep 300': runs(),
  'echo once; sleep 300': runs({ output: [{ text: 'once\n' }] }),
  'echo a; sleep 300': runs({ output: [{ text: 'a\n' }] }),
  'trap "echo bye; exit 9" TERM; echo ready; while :; do sleep 0.05; done': runs({
    output: [{ text: 'ready\n' }],
    onTerm: { code: 9, afterMs: 30, output: [{ text: 'bye\n' }] },
  }),
  'trap "" TERM; echo ready; while :; do sleep 0.05; done': runs({
    output: [{ text: 'ready\n' }],
    onTerm: null,
  }),
  'trap "echo b; echo c >&2; printf d; exit 0" TERM; echo a; while :; do sleep 0.05; done': runs({
    output: [{ text: 'a\n' }],
    onTerm: {
      code: 0,
      afterMs: 30,
      output: [{ text: 'b\n' }, { stream: 'stderr', text: 'c\n' }, { text: 'd' }],
    },
  }),
  'x=$(head -c 30000000 /dev/zero | tr "\\0" a); echo ready; while :; do i=$((i+1)); done': runs({
    output: [{ text: 'ready\n' }],
  }),
  'cat /in/a /in/b; ls /in': ({ files }) => ({
    output: [
      {
        at: 5,
        text: () =>
          [
            ...files().map(({ content }) => content.toString()),
            ...files().map(({ to }) => `${to.slice(4)}\n`),
          ].join(''),
      },
    ],
    exitAt: 20,
  }),
  'mkdir /out; head -c 30000000 /dev/zero > /out/a; echo b > /out/b': leaves({
    '/out/a': Buffer.alloc(30_000_000),
    '/out/b': 'b\n',
  }),
};

/** By how they begin: what follows is made by the contract. */
const LONG_PROGRAMS: Readonly<Record<string, Program>> = {
  'f() { seq 1 ': runs({ output: [...chunks('stdout', 'out'), ...chunks('stderr', 'err')], exitAt: 200 }),
  '( seq 1 ': says(`${sumOf('out')}  -\n${sumOf('err')}  -\n`),
  'mkdir -p "/out/sub/é mpty"': ({ spec }) => ({
    exitAt: 10,
    leaves: {
      '/out/a': 'one\n',
      '/out/hard': 'one\n',
      '/out/zero': '',
      '/out/sub/é 🎬': 'two\n',
      '/out/sub/big': SIXTEEN.repeat(312_500),
      [`/out/${spec.args?.[1]}`]: 'long\n',
    },
  }),
};

/** Programs that stand in `command` or `args` themselves. */
const COMMANDS: Readonly<Record<string, Program>> = {
  '/nope': unstartable('"/nope" is not in the image'),
  nope: unstartable('"nope" is not in the image'),
  '/etc/passwd': unstartable('"/etc/passwd" is no program that may be executed'),
  '/etc': unstartable('"/etc" is no program that may be executed'),
  echo: ({ spec }) =>
    spec.env['PATH']?.includes('/bin') === false
      ? { startError: '"echo" is not in the image' }
      : {
          output: [{ text: `${[...(spec.command ?? []), ...(spec.args ?? [])].slice(1).join(' ')}\n` }],
          exitAt: 20,
        },
  // A script of one line, which puts out what follows its `echo`.
  '/in/run': ({ files }) => ({
    output: [{ at: 5, text: () => /echo (.*\n)/.exec(String(files()[0]?.content))?.[1] ?? '' }],
    exitAt: 20,
  }),
};

/** What the fake engine is to play for a container of the contract. Errors: nobody has said. */
export function contractProgram(spec: ContainerSpec, files: () => readonly ReceivedFile[]): Script {
  const [first = spec.args?.[0] ?? '', , shell] = spec.command ?? [];
  const program =
    first === 'sh' && shell !== undefined
      ? (PROGRAMS[shell] ?? Object.entries(LONG_PROGRAMS).find(([begin]) => shell.startsWith(begin))?.[1])
      : COMMANDS[first];
  if (program === undefined)
    throw new Error(`the fake engine does not know what this does: ${shell ?? first}`);
  return program({ spec, files });
}

function textOf(word: string): string {
  const fill = 'x'.repeat(80);
  return `${Array.from({ length: LINES }, (_, i) => `${i + 1} ${fill} ${word}\n`).join('')}end`;
}

function chunks(stream: LogStream, word: string): { stream: LogStream; at: number; text: string }[] {
  const text = textOf(word);
  const parts = Math.ceil(text.length / CHUNK);
  return Array.from({ length: parts }, (_, i) => ({
    stream,
    // One moment for all: of timers that are late together only those of one moment keep their order.
    at: 1,
    text: text.slice(i * CHUNK, (i + 1) * CHUNK),
  }));
}

function sumOf(word: string): string {
  return createHash('sha256').update(textOf(word)).digest('hex');
}
