import type { ForgetEngine, ForgetResult } from '../../core/store.ts';
import type { Tx } from './db.ts';
import { isHeld, raiseEpoch } from './engines.ts';
import type { AcquireParams } from './engines.ts';
import { SELECT_ATTEMPT } from './executor.ts';
import { finishRow } from './finish.ts';
import type { AttemptRow } from './rows.ts';

/** All of it at once: what one engine has open is no more than what fits on its machine. */
export function forgetEngine(
  tx: Tx,
  { engine, by }: ForgetEngine,
  isDead: AcquireParams['isDead'],
): ForgetResult {
  if (isHeld(tx, engine, isDead)) return { outcome: 'held' };
  const open = tx.db.all<AttemptRow>(
    `${SELECT_ATTEMPT} WHERE a.end_time IS NULL AND a.engine = ? ORDER BY a.execution, a.idx`,
    engine,
  );
  const message = `Its engine, ${engine}, was given up for good by ${by}. Whether its container still runs is not known, so that it is not tried again by itself.`;
  const result = {
    state: 'FAILED',
    reason: 'CONTAINER_LOST',
    message,
    exitCode: null,
    signal: null,
    endTime: tx.now,
  } as const;
  for (const row of open) finishRow(tx, row, { result, logBytes: null, final: true });
  raiseEpoch(tx, engine);
  return { outcome: 'forgotten', endedAttempts: open.length };
}
