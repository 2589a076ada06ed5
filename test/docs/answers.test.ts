import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { renderAnswer } from '../../triggers/webhook/answer.ts';
import { ReloadRig } from '../support/reload-rig.ts';

const PAGE = readFileSync(new URL('../../docs/answers.md', import.meta.url), 'utf8');
const EVENT = { id: '1', source: '/hooks/quote', type: 'x', specversion: '1.0', data: {} } as const;

test('docs/answers.md: the trigger there answers as it says', async () => {
  const yaml = /^```yaml\n(.*?)^```$/ms.exec(PAGE)?.[1] ?? '';
  const rig = await ReloadRig.start({ 'tappet.yaml': yaml }, { QUOTE_TOKEN: 'a'.repeat(32) });
  const { jobs, triggers } = rig.current;
  expect(jobs.get('quote')?.spec.output).toBe('json');
  const { answer, source } = triggers.get('quote') ?? {};
  expect(source).toMatchObject({ answer: { waitMs: 30_000 } });
  if (answer === undefined) throw new TypeError('the page has an answer');
  const ended = { ended: true, reason: null, message: 'Done.' } as const;
  const good = { execution: 'quote-1', state: 'SUCCEEDED', output: { total: 42 }, ...ended } as const;
  const rendered = renderAnswer(
    answer,
    { event: { ...EVENT, time: '' }, claims: {}, execution: 'quote-1', result: good },
    200,
  );
  if (!rendered.ok) throw new Error(rendered.problem);
  expect([rendered.response.status, await rendered.response.json()]).toEqual([
    200,
    { total: 42, note: 'Done.' },
  ]);
  expect(rendered.response.headers.get('x-execution')).toBe('quote-1');
  const bad = { execution: 'quote-1', state: 'FAILED', ...ended, message: 'Task 0 failed.' } as const;
  const refused = renderAnswer(
    answer,
    { event: { ...EVENT, time: '' }, claims: {}, execution: 'quote-1', result: bad },
    200,
  );
  if (!refused.ok) throw new Error(refused.problem);
  expect([refused.response.status, await refused.response.json()]).toEqual([
    502,
    { total: -1, note: 'Task 0 failed.' },
  ]);
});
