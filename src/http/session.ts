import { createHash, timingSafeEqual } from 'node:crypto';
import type { Principal } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import type { Ids } from '../core/ids.ts';
import { PERMISSIONS } from '../core/permissions.ts';
import type { Permission } from '../core/permissions.ts';

/** A code is used at once, from a terminal; a session is a day at work. */
const CODE_MS = 10 * 60_000;
export const SESSION_MS = 12 * 3600_000;
const MAX_CODES = 16;
const MAX_SESSIONS = 64;
/** Of 5 bits each, so 130 bits: nobody guesses one. */
const SECRET_DIGITS = 26;
/** A clock may be put right by so much without ending what it measures. */
const MAX_SET_BACK_MS = 60_000;

/** All that a page may ever do; what is not named here no session has. */
const READING: ReadonlySet<Permission> = new Set([
  'run.jobs.get',
  'run.jobs.list',
  'run.executions.get',
  'run.executions.list',
  'run.tasks.get',
  'run.tasks.list',
  'logging.logEntries.list',
  'eventarc.triggers.get',
  'eventarc.triggers.list',
  'tappet.events.get',
  'tappet.events.list',
  'tappet.notifications.list',
  'tappet.status.get',
  'tappet.engines.list',
]);

/** Whoever started the gateway can read everything in its data folder anyway. */
const OWNER: Principal = { name: 'admin', permissions: new Set(PERMISSIONS) };

export interface PageCode {
  readonly code: string;
  /** Epoch ms. */
  readonly expireTime: number;
}

/**
 * Who may look at the page. A code becomes a session once, and a session ends by time; both live in this process
 * alone. What is kept is a hash of each.
 *
 *   code:    made → used up (a session begins) | expired after 10 min | pushed out by 16 newer ones
 *   session: begun → expired after 12 h | pushed out by 64 newer ones | gone with the process
 */
export class Sessions {
  readonly #codes: Tickets;
  readonly #sessions: Tickets;

  constructor({ clock, ids }: { readonly clock: Clock; readonly ids: Pick<Ids, 'suffix'> }) {
    this.#codes = new Tickets({ clock, ids, lifeMs: CODE_MS, max: MAX_CODES });
    this.#sessions = new Tickets({ clock, ids, lifeMs: SESSION_MS, max: MAX_SESSIONS });
  }

  /** Whoever opens the page with it may read what `by` may read; without `by`, everything. */
  newCode(by: Principal = OWNER): PageCode {
    const permissions = new Set([...by.permissions].filter((permission) => READING.has(permission)));
    const { secret, expireTime } = this.#codes.issue({ name: by.name, permissions });
    return { code: secret, expireTime };
  }

  /** The secret of a new session; undefined where the code is unknown, used or too old. */
  begin(code: string): string | undefined {
    const principal = this.#codes.take(code);
    return principal && this.#sessions.issue(principal).secret;
  }

  principal(session: string): Principal | undefined {
    return this.#sessions.find(session)?.principal;
  }
}

interface Ticket {
  readonly hash: Buffer;
  readonly principal: Principal;
  /** Epoch ms. */
  readonly expireTime: number;
}
interface TicketOptions {
  readonly clock: Clock;
  readonly ids: Pick<Ids, 'suffix'>;
  readonly lifeMs: number;
  readonly max: number;
}

/** Secrets that stand for a principal for a while, oldest first. */
class Tickets {
  readonly #options: TicketOptions;
  #tickets: readonly Ticket[] = [];

  constructor(options: TicketOptions) {
    this.#options = options;
  }

  issue(principal: Principal): { readonly secret: string; readonly expireTime: number } {
    const { clock, ids, lifeMs, max } = this.#options;
    const secret = ids.suffix(SECRET_DIGITS);
    const expireTime = clock.now() + lifeMs;
    this.#tickets = [...this.#alive(), { hash: sha256(secret), principal, expireTime }].slice(-max);
    return { secret, expireTime };
  }

  /** Looks at all of them in constant time each, so that the time tells nothing of any. */
  find(secret: string): Ticket | undefined {
    const hash = sha256(secret);
    return this.#alive().filter((ticket) => timingSafeEqual(ticket.hash, hash))[0];
  }

  /** Finds and forgets: what two ask for at the same time, one gets. */
  take(secret: string): Principal | undefined {
    const found = this.find(secret);
    this.#tickets = this.#tickets.filter((ticket) => ticket !== found);
    return found?.principal;
  }

  /** A clock that is set back ends a ticket sooner, not later. */
  #alive(): readonly Ticket[] {
    const { clock, lifeMs } = this.#options;
    const now = clock.now();
    return this.#tickets.filter(({ expireTime }) => {
      const left = expireTime - now;
      return left > 0 && left <= lifeMs + MAX_SET_BACK_MS;
    });
  }
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text, 'utf8').digest();
