import { afterAll, describe, expect, it } from 'vitest';
import type { ExecutionResult, Source } from '../../../src/core/source.ts';
import { createSource } from '../../../triggers/index.ts';
import { ConfigFolder } from '../../support/config-folder.ts';
import { Context } from '../../support/webhook-context.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

const ENDED: ExecutionResult = {
  execution: 'job-1',
  state: 'SUCCEEDED',
  ended: true,
  reason: null,
  message: 'Task 0 succeeded.',
  output: { total: 42, lines: ['a', 'b'] },
};

/** A source as the configuration makes it. */
async function started(context: Context, answer: object | undefined, more: object = {}): Promise<Source> {
  const source = { kind: 'webhook', auth: 'none', ...(answer === undefined ? {} : { answer }), ...more };
  const content = { jobs: { job: { image: 'x' } }, triggers: { call: { source, run: { job: 'job' } } } };
  const { triggers } = await folder.load(content, { env: { T: 'a-token' } });
  const trigger = triggers.get('call');
  if (trigger === undefined || trigger.source.kind === 'storage') throw new TypeError('no webhook');
  const made = createSource('call', trigger.source, trigger);
  await made.start(context);
  return made;
}

async function call(source: Source, body: unknown = { hello: 'world' }): Promise<Response> {
  const request = new Request('http://127.0.0.1/hooks/call', { method: 'POST', body: JSON.stringify(body) });
  request.headers.set('content-type', 'application/json');
  const response = await source.handle?.(request, { remoteAddress: '127.0.0.1' });
  if (response === undefined) throw new TypeError('it handles calls');
  return response;
}

describe('a caller that waits', () => {
  it('hears how the execution ended, and what it handed back', async () => {
    const context = new Context();
    context.ended = [ENDED];
    const response = await call(await started(context, { wait: '30s' }));
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      event: 'uid-0',
      executions: ['job-1'],
      statusUrls: ['/api/v1/executions/job-1'],
      results: [{ execution: 'job-1', state: 'SUCCEEDED', output: { total: 42 } }],
    });
    expect(context.resultsAsked).toEqual([{ names: ['job-1'], withinMs: 30_000, bytes: 17 }]);
  });

  it('hears 202 where that takes longer', async () => {
    const context = new Context();
    context.ended = [{ ...ENDED, state: 'RUNNING', ended: false }];
    const response = await call(await started(context, { wait: '1s' }));
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({ results: [{ state: 'RUNNING', ended: false }] });
  });

  it('hears no more than the result where anyone may call, and the reason where not', async () => {
    for (const [auth, told] of [
      ['none', { execution: 'job-1', state: 'FAILED', ended: true }],
      [{ bearer: { token: { env: 'T' } } }, { reason: 'TASKS_FAILED', message: 'Its path is /secret.' }],
    ] as const) {
      const context = new Context();
      const { output: _, ...ended } = ENDED;
      context.ended = [
        { ...ended, state: 'FAILED', reason: 'TASKS_FAILED', message: 'Its path is /secret.' },
      ];
      const response = await call(await started(context, { wait: '1s' }, { auth }));
      const { results } = (await response.json()) as { results: object[] };
      if (auth === 'none') expect(results).toEqual([told]);
      else expect(results).toMatchObject([told]);
    }
  });

  it('hears the first execution again for the same event', async () => {
    const context = new Context();
    context.ended = [ENDED];
    const source = await started(
      context,
      { wait: '1s', body: '${{ execution.output.total }}' },
      {
        id: '${{ event.data.id }}',
      },
    );
    const [first, second] = [await call(source, { id: 1 }), await call(source, { id: 1 })];
    expect([first.status, await first.text()]).toEqual([200, '42']);
    expect([second.status, await second.text()]).toEqual([200, '42']);
    expect(context.events).toHaveLength(1);
  });

  it('is answered when the gateway stops', async () => {
    const context = new Context();
    const source = await started(context, { wait: '5m' });
    const answer = call(source);
    while (context.resultsAsked.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await source.stop();
    expect((await answer).status).toBe(202);
  });

  it('hears that the event was taken where its result cannot be read', async () => {
    const context = new Context();
    context.resultsFail = new Error('disk away');
    const response = await call(await started(context, { wait: '1s' }));
    expect([response.status, await response.json()]).toMatchObject([202, { executions: ['job-1'] }]);
    expect(JSON.stringify(context.log.lines)).toContain('disk away');
  });
});

describe("an answer in the trigger's own words", () => {
  it('has status, headers and body of the result', async () => {
    const context = new Context();
    context.ended = [ENDED];
    const response = await call(
      await started(context, {
        wait: '30s',
        status: "${{ execution.state == 'SUCCEEDED' ? 201 : 500 }}",
        headers: {
          'X-Total': '${{ execution.output.total }} lines',
          'content-type': 'application/vnd.x+json',
        },
        body: {
          total: '${{ execution.output.total }}',
          of: 'for ${{ event.data.hello }}',
          all: ['${{ execution.output.lines }}', 1, null],
        },
      }),
    );
    expect(response.status).toBe(201);
    expect(response.headers.get('x-total')).toBe('42 lines');
    expect(response.headers.get('content-type')).toBe('application/vnd.x+json');
    expect(await response.json()).toEqual({ total: 42, of: 'for world', all: [['a', 'b'], 1, null] });
  });

  it('may come at once, and be a plain text or nothing', async () => {
    const text = await call(await started(new Context(), { status: 200, body: 'thanks' }));
    expect([text.status, text.headers.get('content-type'), await text.text()]).toEqual([
      200,
      'text/plain; charset=utf-8',
      'thanks',
    ]);
    const nothing = await call(await started(new Context(), { status: 204 }));
    expect([nothing.status, await nothing.text()]).toEqual([204, '']);
  });

  it('may ask whether there was an execution at all', async () => {
    const context = new Context();
    context.decisions = [{ outcome: 'filtered', reason: 'no', execution: null }];
    const body = "${{ execution.name == null ? 'nothing to do' : execution.name }}";
    expect(await (await call(await started(context, { body }))).text()).toBe('nothing to do');
  });

  it('that cannot be made is the usual one, and the log says why', async () => {
    const context = new Context();
    context.ended = [{ ...ENDED, output: 'no number' }];
    const source = await started(context, { wait: '1s', status: '${{ execution.output }}' });
    const response = await call(source);
    expect([response.status, await response.json()]).toMatchObject([200, { executions: ['job-1'] }]);
    expect(JSON.stringify(context.log.lines)).toContain('is no HTTP status from 200 to 599');
  });

  it('cannot smuggle a header into the answer', async () => {
    const context = new Context();
    context.ended = [{ ...ENDED, output: 'a\r\nset-cookie: x=1' }];
    const response = await call(
      await started(context, { wait: '1s', headers: { 'x-out': '${{ execution.output }}' } }),
    );
    expect(response.headers.has('set-cookie')).toBe(false);
    expect(JSON.stringify(context.log.lines)).toContain('could not be worded');
  });
});

describe('a wrong answer in the configuration is refused with its place', () => {
  it.each([
    [{ wait: '6m' }, 'triggers.call.source.answer.wait'],
    [{ status: 99 }, 'triggers.call.source.answer.status'],
    [{ status: '${{ task.index }}' }, 'triggers.call.source.answer.status'],
    [{ body: { a: ['${{ nonsense( }}'] } }, 'triggers.call.source.answer.body.a[0]'],
    [{ headers: { 'bad name': 'x' } }, 'triggers.call.source.answer.headers'],
    [{ wate: '1s' }, 'triggers.call.source.answer.wate'],
  ])('%j', async (answer, place) => {
    await expect(started(new Context(), answer)).rejects.toThrow(place);
  });
});
