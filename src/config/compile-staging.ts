import { posix } from 'node:path';
import type { Template } from '../core/expression.ts';
import type { Json, JsonObject } from '../core/json.ts';
import {
  addressTextProblem,
  containerPathProblem,
  EVENT_BODY,
  EVENT_FILE,
  EVENT_OBJECT,
  inputAddress,
  isAddress,
  isCovered,
  isFolder,
  outputAddress,
} from '../core/staging.ts';
import type { ParsedAddress } from '../core/staging.ts';
import { nearest } from '../lib/nearest.ts';
import { isWithin } from './binds.ts';
import type { CompileContext, EventWords } from './context.ts';
import { checkConnectionName, compileTemplate, TASK_ROOTS } from './context.ts';
import type { PathSegment } from './positions.ts';
import { placeText } from './problems.ts';
import { isMap, listOf, mapOf, textOf } from './raw.ts';
import { INPUT_RULE, KINDS, MAX_STAGED } from './schema.ts';
import { checkSecret } from './secret-reads.ts';

type Path = readonly PathSegment[];

/** Which kind of trigger's events have what an input's word stands for. */
const KIND_OF: ReadonlyMap<string, { readonly kind: string; readonly thing: string }> = new Map([
  [EVENT_OBJECT, { kind: 'storage', thing: 'object' }],
  [EVENT_FILE, { kind: 'files', thing: 'file' }],
  [EVENT_BODY, { kind: 'webhook', thing: 'body that is a file' }],
]);

/** What a job as it is written takes of an event. */
export function eventWordsOf(job: Json): EventWords {
  const words = new Map<string, number>();
  for (const [i, input] of listOf(mapOf(job)['inputs']).entries()) {
    const from = textOf(mapOf(input)['from']) ?? '';
    if (KIND_OF.has(from) && !words.has(from)) words.set(from, i);
  }
  return words;
}

/** Tells, at the name of a trigger's job, what the job wants and events of this trigger never have. */
export function checkEventWords(
  job: string,
  source: JsonObject,
  path: Path,
  { report, eventWords }: CompileContext,
): void {
  const { kind } = source;
  const words = eventWords.get(job);
  // Of a job that wants several, and of a kind that there is not, it has been told.
  if (words?.size !== 1 || typeof kind !== 'string' || !KINDS.includes(kind)) return;
  for (const [word, i] of words) {
    const needed = KIND_OF.get(word);
    if (needed === undefined) continue;
    if (word === EVENT_BODY && kind === needed.kind && source['body'] !== 'file') {
      const fix = 'add "body: file" to the source of this trigger';
      report.add(
        path,
        `job "${job}" takes ${word} (its inputs[${i}]), which is not kept as a file here: ${fix}`,
      );
    }
    if (needed.kind === kind) continue;
    report.add(
      path,
      `job "${job}" takes ${word} (its inputs[${i}]), but events of a ${kind} trigger tell of no ${needed.thing}: run it from a ${needed.kind} trigger`,
    );
  }
}

/** Judges a job's inputs and outputs; gives the addresses that hold `${{`, compiled, by their text. */
export async function checkStaging(
  job: JsonObject,
  path: Path,
  context: CompileContext,
): Promise<ReadonlyMap<string, Template>> {
  const addresses = new Map<string, Template>();
  // Of more than these the schema has told; each is compared with all others.
  const inputs = listOf(job['inputs']).slice(0, MAX_STAGED).map(mapOf);
  const outputs = listOf(job['outputs']).slice(0, MAX_STAGED).map(mapOf);
  for (const [i, { from }] of inputs.entries())
    await checkInput(from, [...path, 'inputs', i, 'from'], context, addresses);
  checkWords(eventWordsOf(job), [...path, 'inputs'], context);
  checkPlaces(inputs, listOf(job['volumes']), [...path, 'inputs'], context);
  const tasks = typeof job['taskCount'] === 'number' ? job['taskCount'] : 1;
  const taken = new Map<string, number>();
  for (const [i, output] of outputs.entries()) {
    const at = [...path, 'outputs', i];
    const target = checkOutput(output, at, { context, addresses, tasks });
    if (target === undefined) continue;
    const other = taken.get(target);
    if (other !== undefined) context.report.add([...at, 'to'], `outputs[${other}] goes there already`);
    else taken.set(target, i);
  }
  return addresses;
}

async function checkInput(
  from: Json | undefined,
  path: Path,
  context: CompileContext,
  addresses: Map<string, Template>,
): Promise<void> {
  if (isMap(from)) await checkSecret(from, path, context);
  const text = textOf(from);
  if (text === undefined || KIND_OF.has(text)) return;
  if (isAddress(text)) checkAddress(text, path, { context, addresses, parse: inputAddress });
  else context.report.add(path, inputProblem(text));
}

function inputProblem(text: string): string {
  const bare = /^\$\{\{(.*)\}\}$/.exec(text)?.[1]?.trim();
  if (bare !== undefined && KIND_OF.has(bare)) return `is written without \${{ }}: "${bare}"`;
  const close = nearest(text, [...KIND_OF.keys()]);
  return close === undefined ? INPUT_RULE : `${INPUT_RULE}; did you mean "${close}"?`;
}

interface AddressRules {
  readonly context: CompileContext;
  readonly addresses: Map<string, Template>;
  readonly parse: (text: string) => ParsedAddress;
}

/** The template, where the address is one. */
function checkAddress(
  text: string,
  path: Path,
  { context, addresses, parse }: AddressRules,
): Template | undefined {
  const problem = addressTextProblem(text);
  if (problem !== null) {
    context.report.add(path, problem);
    return undefined;
  }
  checkConnectionName(text.split('/')[2] ?? '', path, context);
  const template = compileTemplate(context, text, TASK_ROOTS, path);
  if (template === null) return undefined;
  if (text.includes('${{')) addresses.set(text, template);
  const rendered = template.roots.length === 0 ? template.render({}) : undefined;
  const parsed = rendered?.ok === true ? parse(rendered.value) : undefined;
  if (parsed?.ok === false) context.report.add(path, parsed.problem);
  return template;
}

function checkWords(words: EventWords, path: Path, { report }: CompileContext): void {
  if (words.size < 2) return;
  const last = Math.max(...words.values());
  report.add(
    [...path, last, 'from'],
    'no event tells of several of these, an object, a file and a body: make a job of each',
  );
}

/** Each file has a place of its own in the container, and not in a folder of the host. */
function checkPlaces(
  inputs: readonly JsonObject[],
  volumes: readonly Json[],
  path: Path,
  { report }: CompileContext,
): void {
  const folders = volumes.flatMap((volume) => {
    const to = textOf(mapOf(volume)['to']);
    return to?.startsWith('/') === true ? posix.normalize(to).replace(/(.)\/$/, '$1') : [];
  });
  const files: string[] = [];
  for (const [i, input] of inputs.entries()) {
    const to = textOf(input['to']);
    if (to === undefined) continue;
    const own = containerPathProblem(to, { folder: false });
    const problem = own ?? placeProblem(to, files, folders);
    if (problem !== undefined) report.add([...path, i, 'to'], problem);
    // Others are not to be blamed for it.
    if (own === null) files.push(to);
  }
}

function placeProblem(to: string, files: readonly string[], folders: readonly string[]): string | undefined {
  if (isCovered(to))
    return 'is covered by the engine with its own at the start: use another place, such as "/in"';
  if (files.includes(to)) return `another input stands at "${to}" already`;
  const file = files.find((other) => isWithin(to, other) || isWithin(other, to));
  if (file !== undefined)
    return `cannot stand beside the input at "${file}": one of both would have to be a folder`;
  const folder = folders.find((other) => isWithin(to, other));
  if (folder !== undefined)
    return `lies in the volume at "${folder}", a folder of the host, where it would stay: use another place`;
  const within = folders.find((other) => isWithin(other, to));
  return within === undefined ? undefined : `must be a folder, as the volume at "${within}" lies in it`;
}

interface OutputRules {
  readonly context: CompileContext;
  readonly addresses: Map<string, Template>;
  readonly tasks: number;
}

/** What tells where it goes, the same for the same place; undefined where that is not known. */
function checkOutput(output: JsonObject, path: Path, rules: OutputRules): string | undefined {
  const { context, addresses } = rules;
  const from = textOf(output['from']);
  const to = textOf(output['to']);
  const problem = from === undefined ? null : containerPathProblem(from, { folder: true });
  if (problem !== null) context.report.add([...path, 'from'], problem);
  if (to === undefined) return undefined;
  const at = [...path, 'to'];
  // Of a file, where that is not known: then nothing is asked of the address.
  const source = problem === null && from !== undefined ? from : '/file';
  const parse = (text: string): ParsedAddress => outputAddress(source, text);
  const template = checkAddress(to, at, { context, addresses, parse });
  if (template === undefined || from === undefined || problem !== null) return undefined;
  if (isFolder(from)) {
    if (template.roots.length > 0 && !isFolder(to))
      context.report.add(at, 'must end with /, since a whole folder goes there');
    return `${to} ${from}`;
  }
  warnOfTasks(template, at, rules);
  return isFolder(to) ? `${to}${posix.basename(from)}` : to;
}

/** A file that each task stores under the same key is the last one's. */
function warnOfTasks(template: Template, path: Path, { context, tasks }: OutputRules): void {
  if (tasks < 2 || template.roots.includes('task')) return;
  const why = `each of ${tasks} tasks stores its file under this key, and the last one stays`;
  context.warnings.push(`${placeText(context.report.place(path))} ${why}: put \${{ task.index }} into it`);
}
