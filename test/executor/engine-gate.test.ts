import { expect, it } from 'vitest';
import { EngineGate } from '../../src/executor/engine-gate.ts';
import { Outages } from '../../src/executor/outages.ts';
import { momentOf, Session } from '../../src/executor/session.ts';
import { FakeLog } from '../support/fake-log.ts';
import { FakeRunner } from '../support/fake-runner.ts';
import { ManualClock } from '../support/manual-clock.ts';

it('knows of earlier restarts of the engine when it hears late how a container ended', async () => {
  const clock = new ManualClock();
  const log = new FakeLog();
  const session = new Session({ epoch: 1, since: momentOf(clock), clock, log });
  const runner = new FakeRunner(clock);
  const gate = new EngineGate({ runner, session, clock, log, outages: new Outages(), onUp: () => undefined });
  await clock.advance(60_000);
  const ended = clock.now();
  await clock.advance(1_000);
  gate.reconnected();
  await clock.advance(60_000);
  const between = clock.now() - 31_000;
  gate.reconnected();
  expect(gate.wasAwayAround(ended)).toBe(true);
  expect(gate.wasAwayAround(between)).toBe(false);
});
