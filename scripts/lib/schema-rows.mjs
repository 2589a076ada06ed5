// @ts-check
// Rows of every kind, by calls that the store of every schema knows; what a later one brought is asked for first.

const START = Date.parse('2026-03-01T12:00:00Z');
const ENGINE = 'engine';
const ENDED = { exitCode: null, signal: null };
const OK = {
  state: 'SUCCEEDED',
  reason: 'EXITED_ZERO',
  message: 'Exited with code 0.',
  ...ENDED,
  exitCode: 0,
};
const BAD = {
  state: 'FAILED',
  reason: 'NON_ZERO_EXIT_CODE',
  message: 'Exited with code 3.',
  ...ENDED,
  exitCode: 3,
};
const LOST = { state: 'FAILED', reason: 'CONTAINER_LOST', message: 'The container is gone.', ...ENDED };

/**
 * @param {any} code a module with `SqliteStore` and `JOB_DEFAULTS`
 * @param {string} path
 */
export async function fill(code, path) {
  const filler = new Filler(code, path);
  await filler.store.open();
  await filler.events();
  await filler.executions();
  if ('rerunExecution' in filler.store) await filler.laterExecutions();
  if ('claimNotifications' in filler.store) await filler.notifications();
  await filler.store.close();
}

class Filler {
  #n = 0;
  #epoch = 0;
  #now = START;
  /** @param {any} code @param {string} path */
  constructor(code, path) {
    this.defaults = code.JOB_DEFAULTS;
    const clock = {
      now: () => (this.#now += 7),
      setTimer: (/** @type {number} */ ms, /** @type {() => void} */ fn) => {
        const timer = setTimeout(fn, ms);
        return () => clearTimeout(timer);
      },
    };
    this.store = new code.SqliteStore({
      path,
      clock,
      ids: { uid: () => this.#uid(), suffix: () => this.#suffix(10) },
    });
  }

  #uid() {
    return `00000000-0000-7000-8000-${this.#suffix(12)}`;
  }
  /** @param {number} length */
  #suffix(length) {
    return String(++this.#n).padStart(length, '0');
  }

  async events() {
    const { store } = this;
    await store.syncDefinitions([
      { kind: 'job', name: 'gone', etag: 'g1' },
      { kind: 'job', name: 'report', etag: 'r1' },
      { kind: 'trigger', name: 'call', etag: 'c1' },
    ]);
    // `gone` is deleted, `report` has its second generation; a store of before knows no limit.
    await store.syncDefinitions([
      { kind: 'job', name: 'report', etag: 'r2' },
      { kind: 'job', name: 'one', etag: 'o1', maxConcurrentExecutions: 1 },
      { kind: 'trigger', name: 'call', etag: 'c1' },
    ]);
    const state = [
      { key: 'cursor', value: { at: 5, "it's": null } },
      { key: 'seen/1', value: true, expires: START + 60_000 },
    ];
    const matched = await this.#accept(
      'matched',
      { claims: { sub: 'me' }, data: { text: "it's “here”,\nü", n: [1, 2.5] } },
      state,
    );
    await store.decide({
      event: matched,
      decisions: [
        {
          trigger: 'call',
          outcome: 'matched',
          reason: 'It matched.',
          execution: this.#new('report', {}, { kind: 'event', event: matched, trigger: 'call' }),
        },
        {
          trigger: 'other',
          outcome: 'filtered',
          reason: 'It did not match.',
          clause: 'event.data.n == 3',
          values: { 'event.data.n': 2 },
        },
      ],
    });
    await this.#accept('matched', { data: {} });
    const failed = await this.#accept('failed', { data: null });
    await store.decide({
      event: failed,
      decisions: [{ trigger: 'call', outcome: 'failed', reason: 'No such field.' }],
    });
    const late = { outcome: 'late', reason: 'Two hours late.' };
    const slot = await this.#accept('slot', { verdict: late });
    await store.decide({ event: slot, decisions: [{ trigger: 'call', ...late }] });
    await this.#accept('undecided', {});
  }

  /**
   * @param {string} id
   * @param {{ data?: unknown, claims?: object, verdict?: object }} what
   * @param {object[]} [state]
   */
  async #accept(id, { data, claims, verdict }, state = []) {
    const uid = this.#uid();
    const envelope = {
      specversion: '1.0',
      id,
      source: '/fixture',
      type: 'fixture.made',
      time: '2026-03-01T12:00:00Z',
    };
    const event = data === undefined ? envelope : { ...envelope, data };
    await this.store.acceptEvents({
      origin: 'trigger/call',
      events: [
        {
          uid,
          trigger: 'call',
          event,
          claims: claims ?? null,
          verdict: verdict ?? null,
          rememberMs: 86_400_000,
        },
      ],
      state,
    });
    return uid;
  }

  /**
   * @param {string} job
   * @param {object} spec
   * @param {object} [cause]
   */
  #new(job, spec, cause = { kind: 'api', principal: 'admin' }) {
    return {
      uid: this.#uid(),
      name: `${job}-${this.#suffix(10)}`,
      job,
      jobGeneration: 2,
      spec: {
        image: 'busybox:1',
        args: ['${{ task.index }}'],
        env: { KEY: { secret: 'key' } },
        binds: [],
        ...this.defaults,
        ...spec,
      },
      context: { event: { data: { n: 1 } } },
      cause,
      labels: { team: 'a' },
    };
  }

  /** @param {string} job @param {object} spec */
  async #create(job, spec = {}) {
    const execution = this.#new(job, spec);
    await this.store.createExecution(execution);
    return execution.name;
  }

  /** Each is brought to where it stays before the next one comes, so that a claim finds what it is for. */
  async executions() {
    const { store } = this;
    this.#epoch = (await store.acquireEngine(ENGINE, 'owner', 20_000)).epoch;
    const [first] = await this.#claim(1);
    await this.#finish(first, { ...OK });
    await this.#create('report', { taskCount: 2, parallelism: 2, maxRetries: 1 });
    const [good, bad] = await this.#claim(2);
    await this.#finish(good, OK);
    await this.#finish(bad, BAD);
    await this.#finish((await this.#claim(1))[0], BAD);
    await this.#create('report');
    await this.#finish((await this.#claim(1))[0], LOST);
    const cancelled = await this.#create('report', { taskCount: 3 });
    const [stopped] = await this.#claim(1);
    await this.#start(stopped);
    await store.cancelExecution(cancelled, 'someone');
    await this.#finish(stopped, {
      state: 'CANCELLED',
      reason: 'CANCELLED',
      message: 'Stopped.',
      ...ENDED,
      signal: 'SIGTERM',
    });
    const ending = await this.#create('report', { taskCount: 2 });
    const [open] = await this.#claim(1);
    await this.#start(open);
    await store.cancelExecution(ending, 'someone');
    await this.#create('report', { taskCount: 10_000, parallelism: 3 });
    const [starting, running, late] = await this.#claim(3);
    await store.attemptRendered(starting, this.#epoch, { env: { N: '0' }, args: ['0'] });
    await this.#start(running);
    await this.#start(late);
    await store.requestStop(late, this.#epoch, 'timeout');
    const deleted = await this.#create('report');
    await this.#finish((await this.#claim(1))[0], OK);
    await store.deleteExecution(deleted);
    await this.#create('one');
    await this.#create('one');
  }

  /** What came with retries by rule, usage, admission and images. */
  async laterExecutions() {
    const { store } = this;
    // The turn of `one`.
    await this.#claim(1);
    const halted = await this.#create('report', {
      taskCount: 4,
      parallelism: 1,
      maxRetries: 0,
      maxFailedTasks: 0,
    });
    const [failing] = await this.#claim(1);
    await store.imagePulled({ engine: ENGINE, epoch: this.#epoch, digest: 'sha256:aa', name: 'busybox:1' });
    await this.#finish(failing, BAD, {
      wallMs: 900,
      cpuMs: 80,
      peakMemoryBytes: 1 << 20,
      measureTime: this.#now,
      pulledBytes: 4096,
    });
    await store.rerunExecution({
      of: halted,
      uid: this.#uid(),
      name: `report-${this.#suffix(10)}`,
      by: 'admin',
    });
    const retry = { backoff: 'exponential', initialMs: 60_000, factor: 2, maxMs: 600_000, jitter: 'full' };
    await this.#create('report', { retry, deadlineMs: 3_600_000, memoryBytes: 1 << 30, cpu: 2 });
  }

  /** One is delivered, one is not; the job has failed. */
  async notifications() {
    const { store } = this;
    const notify = { onFailure: ['ops'], onRecovery: ['ops'], onCompletion: ['ci'] };
    await this.#create('report', { notify, deadlineMs: 1 });
    await store.haltOverdue(1);
    // `busy`: what versions before asked for.
    const who = { receivers: ['ci', 'ops'], maxAgeMs: 432_000_000, busy: [] };
    const [first] = await store.claimNotifications({ leaseMs: 60_000, limit: 1, ...who });
    const outcome = { state: 'DELIVERED', status: 204 };
    await store.settleNotification({ id: first.id, attempt: first.attempts, outcome });
  }

  /** @param {number} limit */
  async #claim(limit) {
    const result = await this.store.claimAttempts({
      engine: ENGINE,
      epoch: this.#epoch,
      limit,
      maxParallelism: 100,
    });
    /** @type {{ attempt: { execution: string, index: number, attempt: number } }[]} */
    const claims = Array.isArray(result) ? result : result.claims;
    if (claims.length !== limit) throw new Error(`${claims.length} of ${limit} were claimed`);
    return claims.map(({ attempt: { execution, index, attempt } }) => ({ execution, index, attempt }));
  }

  /** @param {any} key */
  async #start(key) {
    const image = { imageDigest: 'sha256:aa', imageRepoDigest: 'busybox@sha256:bb' };
    await this.store.attemptStarted({ key, epoch: this.#epoch, startTime: this.#now, ...image });
  }

  /** @param {any} key @param {object} result @param {object} [usage] */
  async #finish(key, result, usage) {
    await this.#start(key);
    const ended = { result: { ...result, endTime: this.#now }, logBytes: { stdout: 12, stderr: 0 } };
    await this.store.finishAttempt({
      key,
      epoch: this.#epoch,
      ...ended,
      ...(usage && { usage }),
      random: 0.5,
    });
  }
}
