import type { ReceivedBody } from '../../src/core/bodies.ts';
import type { LocalFile } from '../../src/core/local-files.ts';
import type { OpenLog } from '../../src/core/log-sink.ts';
import type { ObjectBody, ObjectStore } from '../../src/core/objects.ts';
import type { Ensured, OutputFile, Runner } from '../../src/core/runner.ts';
import type { Secrets } from '../../src/core/secrets.ts';
import type { Store } from '../../src/core/store.ts';
import type { BodyFiles } from '../../src/bodies/body-files.ts';
import type { SystemFiles } from '../../src/lib/local-files.ts';
import type { FileLogSink } from '../../src/logs/file-log-sink.ts';
import type { ConfiguredObjects } from '../../src/objects/objects.ts';

/**
 * What the gateway does when it is killed (crash-round.ts has each).
 * `files`: tasks with inputs, secrets and outputs, one of which fails at first. `stops`: timeouts, a deadline and a cancel.
 * `heir`: takes over from one that was killed while a container had ended and three others ran.
 * `pull`: an image that is not there. `deaf`: containers that do not end, on an engine that forgets to end them.
 * `long`: a task of half a minute. `leave`: SIGTERM while tasks run. `hand`: a run that was asked for by the API.
 */
export type Scenario = 'files' | 'stops' | 'heir' | 'pull' | 'deaf' | 'long' | 'leave' | 'hand';

/** The calls before and after which it is killed, by number; of what looks for work, after those that found some. */
interface Kills {
  readonly before: readonly number[];
  readonly after: readonly number[];
}
type Way = { readonly [S in Scenario]?: Kills };
/** `called`: whether it may be called all the same. */
interface NoPlace {
  readonly noPlace: string;
  readonly called: boolean;
}

const FIRST: Kills = { before: [1], after: [1] };
/** The first and a later one: other attempts are then at other steps. */
const TWICE: Kills = { before: [1, 2], after: [1, 2] };
/** It only looks, or says what it knows: nothing is different after it. */
const reads = (noPlace: string): NoPlace => ({ noPlace, called: true });
const elsewhere = (noPlace: string): NoPlace => ({ noPlace, called: false });
const MAINTENANCE = elsewhere('maintenance, ten minutes after the start: test/maintenance');
const FOR_READERS = reads('for the API and the page');
const UPLOADS = elsewhere('storage triggers: test/triggers/storage/crash.test.ts');
const AT_START = reads('once, at the start, before anything else');

/** What a port has that is a step: its methods, what it streams, what it lets one wait for. */
type Step<V> = V extends (...args: never[]) => unknown
  ? true
  : V extends AsyncIterable<unknown> | Promise<unknown>
    ? true
    : false;
type Steps<P> = { [K in keyof P]-?: Step<P[K]> extends true ? K : never }[keyof P];
/** A method more does not compile until it has its places, or it is said why it has none. */
type Places<P> = Readonly<Record<Steps<P>, Way | NoPlace>>;

const STORE: Places<Store> = {
  open: elsewhere('before the port is there'),
  close: elsewhere('called past the port'),
  instance: reads('known since the start'),
  syncDefinitions: { stops: FIRST },
  acceptEvents: { stops: TWICE },
  readState: reads('of sources'),
  scanState: reads('of sources'),
  undecidedEvents: { stops: { before: [1, 2], after: [] } },
  decide: { stops: TWICE },
  eventOutcome: reads('for the sender'),
  createExecution: { hand: FIRST },
  claimAttempts: { files: TWICE, heir: FIRST },
  listAttempts: FOR_READERS,
  openAttempts: { stops: { before: [1], after: [] }, heir: FIRST },
  attemptRendered: { files: TWICE },
  imagePulled: { pull: FIRST },
  attemptStarted: { files: TWICE, heir: FIRST },
  requestStop: { stops: TWICE, heir: FIRST },
  attemptsMeasured: { long: FIRST },
  stopRequests: { stops: { before: [1, 2], after: [1] } },
  finishAttempt: { files: TWICE, heir: FIRST },
  cancelExecution: { stops: TWICE },
  rerunExecution: elsewhere('one transaction, as createExecution; what it makes runs as any other'),
  haltOverdue: { stops: { before: [1, 3], after: [1] } },
  acquireEngine: { stops: FIRST, heir: FIRST },
  renewEngine: { stops: TWICE },
  releaseEngine: { leave: FIRST },
  enginesInUse: { stops: { before: [1], after: [] }, heir: FIRST },
  forgetEngine: elsewhere('a command for an engine that is gone: test/commands/forget-engine.test.ts'),
  getEvent: FOR_READERS,
  listEvents: FOR_READERS,
  listDecisions: FOR_READERS,
  getExecution: FOR_READERS,
  listExecutions: FOR_READERS,
  getTask: FOR_READERS,
  listTasks: FOR_READERS,
  listSpans: FOR_READERS,
  counts: FOR_READERS,
  claimNotifications: reads('nobody is told here; who is: test/notify/crash-places.test.ts'),
  settleNotification: elsewhere('test/notify/crash-places.test.ts'),
  listNotifications: FOR_READERS,
  notificationCounts: FOR_READERS,
  pruneNotifications: MAINTENANCE,
  deleteExecution: elsewhere('asked for by the API'),
  expiredExecutions: MAINTENANCE,
  surplusExecutions: MAINTENANCE,
  pruneExecutions: MAINTENANCE,
  unusedImages: MAINTENANCE,
  imagesInUse: MAINTENANCE,
  imageUsed: MAINTENANCE,
  imageRemoved: MAINTENANCE,
  pruneEvents: MAINTENANCE,
  whichEventsExist: MAINTENANCE,
};

const RUNNER: Places<Runner> = {
  capabilities: { stops: FIRST, heir: FIRST },
  prepare: { files: TWICE, pull: FIRST },
  pulls: reads('what it knows'),
  removeImage: MAINTENANCE,
  ensure: { files: TWICE },
  outputs: { files: TWICE },
  logs: { heir: TWICE },
  inspect: { files: TWICE, heir: TWICE },
  usage: { stops: TWICE },
  stop: { stops: TWICE, heir: FIRST },
  kill: { deaf: TWICE },
  remove: { files: TWICE, heir: FIRST },
  list: { stops: { before: [1], after: [] }, heir: FIRST },
  hints: { stops: { before: [1], after: [1, 4] } },
};

const ENSURED: Places<Extract<Ensured, { outcome: 'started' }>> = { captured: { files: TWICE } };
const OUTPUT_FILE: Places<OutputFile> = { body: { files: TWICE } };

const LOGS: Places<FileLogSink> = {
  open: { files: TWICE, heir: FIRST },
  end: FOR_READERS,
  read: FOR_READERS,
  remove: MAINTENANCE,
  probe: AT_START,
};
const WRITER: Places<OpenLog> = {
  cursor: reads('what it knows'),
  write: { files: TWICE, heir: FIRST },
  close: { files: TWICE, heir: FIRST },
  leave: { leave: FIRST },
};

const OBJECTS: Places<ConfiguredObjects> = {
  connection: reads('what it knows'),
  prepare: elsewhere('a change of the configuration'),
  close: reads('at the end, when nothing is under way'),
};
const OBJECT_STORE: Places<ObjectStore> = {
  list: UPLOADS,
  listVersions: UPLOADS,
  versioning: UPLOADS,
  head: UPLOADS,
  get: { files: TWICE },
  put: { files: TWICE },
  close: elsewhere('at the end'),
};
const OBJECT_BODY: Places<ObjectBody> = { body: { files: TWICE } };

const SECRETS: Places<Secrets> = {
  // The first of them is of a webhook, at the start.
  resolve: { files: { before: [1, 2, 4], after: [1, 2, 4] } },
};

const LOCAL_FILES: Places<SystemFiles> = { open: { files: TWICE } };
const LOCAL_FILE: Places<LocalFile> = { body: { files: TWICE } };
const BODIES: Places<BodyFiles> = {
  receive: { files: TWICE },
  openBody: { files: TWICE },
  sweep: MAINTENANCE,
  probe: AT_START,
};
const RECEIVED_BODY: Places<ReceivedBody> = { keep: { files: FIRST }, drop: { files: FIRST } };

const PORTS: Readonly<Record<string, Readonly<Record<string, Way | NoPlace>>>> = {
  store: STORE,
  runner: RUNNER,
  ensured: ENSURED,
  outputFile: OUTPUT_FILE,
  logs: LOGS,
  writer: WRITER,
  objects: OBJECTS,
  objectStore: OBJECT_STORE,
  objectBody: OBJECT_BODY,
  secrets: SECRETS,
  localFiles: LOCAL_FILES,
  localFile: LOCAL_FILE,
  bodies: BODIES,
  receivedBody: RECEIVED_BODY,
};
const METHODS = Object.entries(PORTS).flatMap(([port, methods]) =>
  Object.entries(methods).map(([method, way]) => ({ name: `${port}.${method}`, way })),
);
const isNoPlace = (way: Way | NoPlace): way is NoPlace => 'noPlace' in way;

export interface Place {
  /** As in CRASH: `store.decide:before:1`. */
  readonly at: string;
  readonly method: string;
  readonly scenario: Scenario;
}

function placesOf(method: string, way: Way): Place[] {
  return (Object.entries(way) as [Scenario, Kills][]).flatMap(([scenario, kills]) =>
    (['before', 'after'] as const).flatMap((side) =>
      kills[side].map((count) => ({ at: `${method}:${side}:${count}`, method, scenario })),
    ),
  );
}

const BY_METHOD = METHODS.flatMap(({ name, way }) => (isNoPlace(way) ? [] : [placesOf(name, way)]));

/** How many methods have places. */
export const METHOD_COUNT = BY_METHOD.length;

/**
 * All places, one of each method before a second of any; `seed` says which comes first, so that a share of one of each
 * is another share with each seed.
 */
export function allPlaces(seed: number): Place[] {
  const most = Math.max(...BY_METHOD.map((places) => places.length));
  return Array.from({ length: most }, (_, pass) =>
    BY_METHOD.flatMap((places, i) => {
      const place = pass < places.length ? places[(pass + i + seed) % places.length] : undefined;
      return place === undefined ? [] : [place];
    }),
  ).flat();
}

/** Whether it is known that this is called: it has places, or there is a reason why it needs none. */
export function isKnown(name: string): boolean {
  const way = METHODS.find((method) => method.name === name)?.way;
  return way !== undefined && (!isNoPlace(way) || way.called);
}
