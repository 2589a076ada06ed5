import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Example } from '../../scripts/lib/demo-examples.mjs';
import { runExamples } from '../../scripts/lib/demo-run.mjs';

/** What the API of a gateway would answer, by path. */
type Answers = Record<string, unknown>;

function gateway(answers: Answers) {
  const text = async (path: string): Promise<string> => {
    if (!(path in answers)) throw new Error(`GET ${path}: 404`);
    return String(answers[path]);
  };
  const get = async (path: string): Promise<unknown> => {
    if (!(path in answers)) throw new Error(`GET ${path}: 404`);
    return answers[path];
  };
  const store = {
    description: '',
    url: '',
    accessKey: '',
    secretKey: '',
    put: async () => undefined,
    get: async (key: string) => Buffer.from(`in ${key}`),
    list: async () => [],
  };
  const rest = {
    url: '',
    issuer: '',
    clientSecret: '',
    inbox: '',
    configFile: '',
    link: () => Promise.resolve('http://l/?code=c'),
    tokenFile: '',
  };
  return { ...rest, store, get, text };
}

const example = (over: Partial<Example> = {}): Example => ({
  trigger: 'call',
  title: 'a call',
  tell: 'It calls.',
  setOff: async () => 'e1',
  ...over,
});

const event = (decision: object): Answers => ({
  '/events/e1': {
    event: { id: '1', type: 'call', source: '/x' },
    origin: 'trigger/call',
    receiveTime: '2026-01-01T00:00:00Z',
    decideTime: '2026-01-01T00:00:00Z',
    decisions: [{ trigger: 'call', reason: 'when is true', ...decision }],
  },
});
const matched = event({ outcome: 'matched', execution: 'x-1' });
const ended = (state: string, message?: string): Answers => ({
  '/executions/x-1': {
    name: 'x-1',
    state,
    taskCount: 1,
    completionTime: '2026-01-01T00:00:01Z',
    message: message ?? null,
    reason: null,
  },
  '/executions/x-1/tasks/0/logs': 'what it wrote\n',
});

let printed: string;
beforeEach(() => {
  printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
});
afterEach(() => vi.restoreAllMocks());

describe('the demo', () => {
  it('shows event, decision, execution and output of what succeeded', async () => {
    await runExamples(gateway({ ...matched, ...ended('SUCCEEDED') }), [example()]);
    expect(printed).toMatch(/event +call, id 1/);
    expect(printed).toMatch(/decision +matched: when is true/);
    expect(printed).toMatch(/execution +x-1, 1 task: SUCCEEDED/);
    expect(printed).toMatch(/container +│ what it wrote/);
    expect(printed).toMatch(/\ncall +SUCCEEDED\nAll 1 examples succeeded\.\n$/);
  });

  it('shows what stands in the store, and fails where it is not there', async () => {
    const result: Example['result'] = async (store, { id }) => [(await store.get(`out/${id}`)).toString()];
    const running = gateway({ ...matched, ...ended('SUCCEEDED') });
    await runExamples(running, [example({ result })]);
    expect(printed).toMatch(/result +in out\/1\n/);
    const gone: Example['result'] = () => Promise.reject(new Error('The specified key does not exist.'));
    await expect(runExamples(running, [example({ result: gone })])).rejects.toThrow(
      'call: The specified key',
    );
  });

  const filtered = event({ outcome: 'filtered', reason: 'it was false' });
  it.each<[string, Answers, ReturnType<typeof example>, RegExp]>([
    [
      'an execution that failed',
      { ...matched, ...ended('FAILED', 'exit code 3') },
      example(),
      /call: x-1 is FAILED: exit code 3\nwhat it wrote/,
    ],
    ['a decision that is no match', filtered, example(), /the decision was "filtered": it was false/],
    [
      'a match where none was to be',
      { ...matched, ...ended('SUCCEEDED') },
      example({ filtered: true }),
      /the decision was "matched"/,
    ],
    [
      'a call that is refused',
      {},
      example({ setOff: () => Promise.reject(new Error('POST /hooks/call was answered with 401')) }),
      /call: POST \/hooks\/call was answered with 401/,
    ],
    ['an API that does not answer', {}, example(), /GET \/events\/e1: 404/],
  ])('fails with the reason: %s', async (_, answers, one, reason) => {
    await expect(runExamples(gateway(answers), [one])).rejects.toThrow(reason);
    expect(printed).not.toContain('succeeded');
  });

  it('goes on with the other examples, and names all that failed', async () => {
    const failing = (text: string) => example({ setOff: () => Promise.reject(new Error(text)) });
    const answers = { ...matched, ...ended('SUCCEEDED') };
    const running = runExamples(gateway(answers), [failing('one'), example(), failing('two')]);
    await expect(running).rejects.toThrow(/call: one\n {2}call: two\n/);
    expect(printed).toContain('x-1, 1 task: SUCCEEDED');
  });
});
