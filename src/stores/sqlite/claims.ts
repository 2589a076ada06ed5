import { capacityOf, Ledger, neverFits } from '../../core/admission.ts';
import type { Need, Reservation } from '../../core/admission.ts';
import type { Claim, ClaimParams, ClaimResult, Room } from '../../core/store.ts';
import type { Tx } from './db.ts';
import { requireEpoch } from './engines.ts';
import {
  executionBySeq,
  findClaimable,
  firstOfSize,
  firstOfSizes,
  nextClaimable,
  oversized,
  retireOverdue,
  wakeExecutions,
} from './executions.ts';
import type { InLine, NamedInLine, Size } from './executions.ts';
import { claimOne } from './executor.ts';
import type { ExecutionRow } from './rows.ts';
import { haltUnfit } from './stopping.ts';

/** So many sizes of tasks are looked at for one that may go ahead of the first, which does not fit. */
const MAX_SIZES = 100;
/** Overdue ones that one call takes out of the line: bounds the transaction. */
const MAX_RETIRED = 1000;
/** Ended by one call, where they can never fit: bounds the transaction. */
const MAX_REFUSED = 50;

export function claimAttempts(tx: Tx, params: ClaimParams): ClaimResult {
  const owner = requireEpoch(tx, params.engine, params.epoch);
  wakeExecutions(tx);
  const reserved = params.room?.reserved ?? null;
  if (retireOverdue(tx, MAX_RETIRED) === MAX_RETIRED) return { claims: [], more: true, reserved };
  const line =
    params.room === undefined ? new OpenLine(tx, params) : new AdmittedLine(tx, params, params.room);
  line.refuseOversized();
  const claims: Claim[] = [];
  while (claims.length < params.limit) {
    const execution = line.next();
    if (execution === undefined) return { claims, more: line.cutShort, reserved: line.reserved };
    const claim = claimOne(tx, execution, params, owner);
    if (claim === undefined) continue;
    claims.push(claim);
    line.started(execution);
  }
  return { claims, more: true, reserved: line.reserved };
}

interface Line {
  readonly reserved: Reservation | null;
  /** It has ended as many as one call may that can never fit: there may be more of them. */
  readonly cutShort: boolean;
  /** Ends what can never fit, wherever it stands. */
  refuseOversized(): void;
  /** Whose task starts next; undefined = nobody's can. */
  next(): ExecutionRow | undefined;
  started(execution: ExecutionRow): void;
}

/** Where everything fits. */
class OpenLine implements Line {
  readonly reserved = null;
  readonly cutShort = false;
  readonly #tx: Tx;
  readonly #params: ClaimParams;

  constructor(tx: Tx, params: ClaimParams) {
    this.#tx = tx;
    this.#params = params;
  }

  refuseOversized(): void {
    // Nothing is.
  }
  next(): ExecutionRow | undefined {
    const first = nextClaimable(this.#tx, this.#params.maxParallelism);
    return first && executionBySeq(this.#tx, first.seq);
  }
  started(): void {
    // Nothing is counted.
  }
}

/** What may start by the ledger. The first that has to wait is remembered from claim to claim, or small ones would pass it by for ever. */
class AdmittedLine implements Line {
  readonly #tx: Tx;
  readonly #params: ClaimParams;
  readonly #room: Room;
  readonly #ledger: Ledger;
  /** What may go ahead of the first that does not fit: the first of each size. */
  #ahead: InLine[] | undefined;
  /** Of those the one that was given last. */
  #taken: InLine | undefined;
  /** Waited for since an earlier claim; it goes first. */
  #first: NamedInLine | undefined;
  #reserved: Reservation | null = null;
  #refused = 0;

  constructor(tx: Tx, params: ClaimParams, room: Room) {
    this.#tx = tx;
    this.#params = params;
    this.#room = room;
    this.#ledger = new Ledger(capacityOf(room.host, room.settings), room.charges, tx.now);
    this.#first = this.#stillReserved();
  }

  get reserved(): Reservation | null {
    return this.#reserved;
  }

  get cutShort(): boolean {
    return this.#refused >= MAX_REFUSED;
  }

  refuseOversized(): void {
    const { host, settings } = this.#room;
    const { memoryBytes, cpuMillis } = capacityOf(host, settings);
    const cores = host.cpus > 0 ? Math.min(cpuMillis, host.cpus * 1000) : Infinity;
    for (const { seq } of oversized(this.#tx, memoryBytes, cores, MAX_REFUSED)) {
      const execution = executionBySeq(this.#tx, seq);
      const why = this.#neverFits(execution);
      if (why !== null) this.#refuse(execution, why);
    }
  }

  next(): ExecutionRow | undefined {
    const waited = this.#first;
    this.#first = undefined;
    if (waited !== undefined) return executionBySeq(this.#tx, waited.seq);
    while (!this.cutShort) {
      const first = nextClaimable(this.#tx, this.#params.maxParallelism);
      if (first === undefined) return undefined;
      const need = needOfRow(first);
      const unfit = this.#neverFits(first);
      if (unfit === null && this.#ledger.admits(need)) return executionBySeq(this.#tx, first.seq);
      if (unfit !== null && first.running === 0) {
        this.#refuse(executionBySeq(this.#tx, first.seq), unfit);
        continue;
      }
      // One whose tasks ran on a larger host waits for those, and holds up nobody.
      if (unfit === null && !this.#ledger.holds) this.#hold(first.name, need);
      return this.#nextAhead();
    }
    return undefined;
  }

  started(execution: ExecutionRow): void {
    this.#ledger.charge(needOfRow(execution));
  }

  /** Of those that may go ahead the first in line. Who is first of a size is looked up anew where that one was taken. */
  #nextAhead(): ExecutionRow | undefined {
    const { maxParallelism } = this.#params;
    this.#ahead ??= firstOfSizes(this.#tx, maxParallelism, this.#ledger.free.memoryBytes, MAX_SIZES);
    if (this.#taken !== undefined) {
      const after = firstOfSize(this.#tx, maxParallelism, this.#taken);
      this.#ahead = this.#ahead.filter((row) => row !== this.#taken).concat(after ?? []);
    }
    this.#taken = this.#ahead
      .filter((row) => this.#ledger.admits(needOfRow(row)) && this.#neverFits(row) === null)
      .reduce<InLine | undefined>(
        (first, row) => (first && inOrder(first, row) < 0 ? first : row),
        undefined,
      );
    return this.#taken && executionBySeq(this.#tx, this.#taken.seq);
  }

  /** Gives it where it fits now; else goes on to wait for it, unless it is in no line any more. */
  #stillReserved(): NamedInLine | undefined {
    const { reserved } = this.#room;
    const row = reserved === null ? undefined : findClaimable(this.#tx, reserved.execution);
    if (reserved === null || row === undefined) return undefined;
    const need = needOfRow(row);
    if (this.#neverFits(row) !== null) return undefined;
    if (this.#ledger.fits(need)) return row;
    this.#hold(row.name, need, reserved.by);
    return undefined;
  }

  #hold(execution: string, need: Need, by?: number): void {
    this.#reserved = { execution, by: this.#ledger.hold(need, by) };
  }

  #neverFits(row: Size): string | null {
    return neverFits(needOfRow(row), this.#room.host, this.#room.settings);
  }

  #refuse(execution: ExecutionRow, why: string): void {
    this.#refused += 1;
    haltUnfit(this.#tx, execution, why);
    // Its turn may have passed on.
    this.#ahead = undefined;
    this.#taken = undefined;
  }
}

function inOrder(a: InLine, b: InLine): number {
  return a.running - b.running || a.seq - b.seq;
}

function needOfRow(row: Size): Need {
  return { memoryBytes: row.need_memory, cpuMillis: row.need_cpu, timeMs: row.need_time };
}
