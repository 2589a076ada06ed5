import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { logSinkContract } from './log-sink.contract.ts';

logSinkContract('files', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tappet-logs-'));
  return {
    open: () => new FileLogSink({ dir, clock: new ManualClock() }),
    close: () => rm(dir, { recursive: true, force: true }),
  };
});
