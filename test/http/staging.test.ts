import { expect, test } from 'vitest';
import { createTestApp, jobDefinition, testConfig } from '../support/http-fakes.ts';

/** What is only started by an event of a storage trigger. */
const staged = jobDefinition('staged', {
  env: { KEY: { secret: 'key', version: 2 } },
  inputs: [
    { from: 'event.object', to: '/in/video' },
    { from: { file: './key.pem' }, to: '/run/key', mode: 0o400 },
  ],
  outputs: [{ from: '/out/', to: 's3://store/done/' }],
});
const config = { ...testConfig(), jobs: new Map([['staged', staged]]) };

test('shows inputs, outputs and where secrets stand', async () => {
  const { call } = createTestApp({ config: () => config });
  expect(await (await call('GET', '/api/v1/jobs/staged')).json()).toMatchObject({
    template: {
      env: { KEY: { secret: 'key', version: 2 } },
      inputs: [
        { from: 'event.object', to: '/in/video' },
        { from: { file: './key.pem' }, to: '/run/key', mode: '0400' },
      ],
      outputs: [{ from: '/out/', to: 's3://store/done/' }],
    },
  });
});

test('a run without the event that an input needs is refused, with the place', async () => {
  const { call, works } = createTestApp({ config: () => config });
  const response = await call('POST', '/api/v1/jobs/staged:run', { body: { overrides: { taskCount: 2 } } });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({
    code: 'INVALID_ARGUMENT',
    errors: [{ path: 'jobs.staged.inputs[0].from' }],
    detail:
      'inputs[0].from of job "staged" is event.object, which a run without an event does not have. Fire a trigger that runs this job, by hand if need be.',
  });
  expect(works()).toBe(0);
});
