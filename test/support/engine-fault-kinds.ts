import {
  ATTACH,
  CREATE,
  EVENTS,
  IMAGE,
  INSPECT,
  REMOVE,
  START,
  all,
  behind,
  nameIn,
  once,
  onceStarted,
  pullError,
  pullLine,
  pulled,
  pulls,
  readingsToTheEnd,
  removedWhileItRuns,
  say,
} from './engine-fault-rules.ts';
import type { FaultTools, Rule } from './engine-fault-rules.ts';
import type { EngineFault } from './fault-proxy-engine.ts';

/** One way in which a kind of fault happens, once, in the life of an attempt. */
export interface FaultPlace {
  readonly name: string;
  /** Made anew for each round. */
  readonly rule: (tools: FaultTools) => Rule;
  /** Pulls its image each time, where it is not `work`. */
  readonly job?: 'pull';
  /** How its attempts end, but for the last one, which ends by the program's exit code. Absent = it is the only one. */
  readonly before?: readonly string[];
  /** No attempt ends by an exit code: this is the reason of the last one. */
  readonly fails?: string;
  /** What a message of an attempt or a line of the gateway's log must say; absent = nobody needs to know. */
  readonly said?: RegExp;
}

const NO_SPACE = 'mkdir /var/lib/docker/overlay2/1/merged: no space left on device';
const BROKEN: EngineFault = { kind: 'break', bytes: null };
const HEADER: EngineFault = { kind: 'header', bytes: 1024 * 1024 };
const HALF: EngineFault = { kind: 'half' };

export const FAULT_KINDS: Readonly<Record<string, readonly FaultPlace[]>> = {
  'an error after the success': [
    {
      name: 'of a create',
      rule: once(CREATE, say(500, 'write unix: broken pipe', true)),
      said: /could not be started.*write unix: broken pipe/,
    },
    { name: 'of a start', rule: once(START, say(500, 'context canceled', true)) },
    {
      name: 'of a removal',
      rule: once(REMOVE, say(500, 'container is dead', true)),
      said: /could not be removed.*container is dead/,
    },
  ],
  'no answer': [
    {
      name: 'to a start that is done',
      rule: once(START, { kind: 'hang', engine: true }),
      said: /did not answer within \d+ s \(POST .*\/start\)/,
    },
    {
      name: 'to a create that is done',
      rule: once(CREATE, { kind: 'hang', engine: true }),
      said: /did not answer within \d+ s \(POST .*\/containers\/create\)/,
    },
    {
      name: 'to an inspect',
      rule: onceStarted(INSPECT, { kind: 'hang', engine: false }),
      said: /did not answer within \d+ s \(GET .*\/json\)/,
    },
    {
      name: 'to an attach',
      rule: once(ATTACH, { kind: 'hang', engine: false }),
      said: /did not answer within \d+ s \(POST .*\/attach\)/,
    },
    {
      name: 'to a removal that is done',
      rule: once(REMOVE, { kind: 'hang', engine: true }),
      said: /did not answer within \d+ s \(DELETE /,
    },
  ],
  'a connection that breaks': [
    {
      name: 'while its output streams',
      rule: once(ATTACH, { kind: 'break', bytes: 3000 }),
      said: /output of a container is no longer captured; it is resumed/,
    },
    { name: 'before a start is answered', rule: once(START, BROKEN, 2), said: /socket hang up/ },
    { name: 'before a create is answered', rule: once(CREATE, BROKEN, 2), said: /socket hang up/ },
    { name: 'before a start is answered, once', rule: once(START, BROKEN) },
    {
      name: 'in the middle of an inspect',
      rule: onceStarted(INSPECT, { kind: 'break', bytes: 100 }),
      said: /cannot be reached: aborted/,
    },
  ],
  'a log that is cut': [
    { name: 'in the middle of a frame', rule: once(ATTACH, { kind: 'end', bytes: 3001 }) },
    {
      name: 'and the reading that resumes it, too',
      rule: all(once(ATTACH, { kind: 'end', bytes: 3001 }), readingsToTheEnd({ kind: 'end', bytes: 5001 })),
      said: /broke off \(reading the log/,
    },
    { name: 'before its first byte', rule: once(ATTACH, { kind: 'end', bytes: 0 }) },
    {
      name: 'and the reading that resumes it breaks off',
      rule: all(
        once(ATTACH, { kind: 'break', bytes: 3001 }),
        readingsToTheEnd({ kind: 'break', bytes: 5001 }),
      ),
      said: /resumed from the engine’s log/,
    },
  ],
  'events that are cut': [
    {
      name: 'at the start, and three times more',
      rule: all(
        behind(START, (_, { proxy }) => proxy.cut(EVENTS)),
        once(EVENTS, BROKEN, 3),
      ),
      said: /engine is gone; waiting for it/,
    },
    {
      name: 'at the start, and in the middle of a line',
      rule: all(
        behind(START, (_, { proxy }) => proxy.cut(EVENTS)),
        once(EVENTS, { kind: 'end', bytes: 50 }),
      ),
      said: /engine is gone; waiting for it/,
    },
  ],
  'a name that is taken': [
    {
      name: 'by a stranger',
      rule: behind(CREATE, async ({ query }, { engine, strangers }) => {
        const name = query.get('name') ?? '';
        strangers.push(name);
        await engine('POST', `/containers/create?name=${name}`, {
          Image: 'tappet-test/tools:1',
          Cmd: ['true'],
        });
      }),
      fails: 'CONTAINER_START_FAILED',
      said: /The engine has a container ".*" that is not of this attempt.*docker rm -f/,
    },
    { name: 'by nobody', rule: once(CREATE, say(409, 'Conflict. The name is already in use', false)) },
    { name: 'by itself', rule: once(CREATE, say(409, 'Conflict. The name is already in use', true)) },
    {
      name: 'in Podman’s words',
      rule: once(CREATE, say(500, 'the container name "x" is already in use by y', true)),
    },
  ],
  'a container that is gone': [
    {
      name: 'before its start',
      rule: behind(START, async ({ call }, { engine }) => {
        await engine('DELETE', `/containers/${nameIn(call)}?force=1`);
      }),
      said: /was removed before it could be started/,
    },
    {
      name: 'while it runs',
      rule: removedWhileItRuns,
      before: ['CONTAINER_LOST'],
      said: /The container is gone, and nobody here removed it/,
    },
    {
      name: 'only by the engine’s word',
      rule: onceStarted(INSPECT, say(404, 'No such container: x', false)),
      before: ['CONTAINER_LOST'],
      said: /The container is gone, and nobody here removed it/,
    },
    { name: 'with its image', rule: once(CREATE, say(404, 'No such image: sha256:aa', false)) },
  ],
  'an engine that is slow': [
    { name: 'with everything', rule: once(/./, { kind: 'slow', ms: 400 }, Infinity) },
    {
      name: 'and starts when nobody waits any more',
      rule: once(START, { kind: 'slow', ms: 6500 }),
      said: /did not answer within \d+ s \(POST .*\/start\)/,
    },
    {
      name: 'and creates when nobody waits any more',
      rule: once(CREATE, { kind: 'slow', ms: 6500 }),
      said: /did not answer within \d+ s \(POST .*\/containers\/create\)/,
    },
  ],
  'a pull that fails': [
    {
      name: 'with the registry’s error in a successful answer',
      job: 'pull',
      rule: pulls(pullError('Get "https://r.example/v2/": dial tcp: connection refused'), pulled),
      before: ['IMAGE_PULL_FAILED'],
      said: /could not be pulled: .*connection refused/,
    },
    {
      name: 'without a further word',
      job: 'pull',
      rule: pulls(pullLine({ status: 'Downloading', id: '1', progressDetail: {} }, true), pulled),
      before: ['IMAGE_PULL_FAILED'],
      said: /was given up: there was no progress for 1s/,
    },
    {
      name: 'because of the account',
      job: 'pull',
      rule: pulls(pullError('unauthorized: authentication required')),
      fails: 'IMAGE_UNAUTHORIZED',
      said: /does not let strangers pull .*authentication required/,
    },
  ],
  'a disk that is full': [
    {
      name: 'at the create',
      rule: once(CREATE, say(500, NO_SPACE, false)),
      said: /no space left on device.*Make room on the engine’s disk/,
    },
    {
      name: 'at a pull',
      job: 'pull',
      rule: pulls(pullError(`write /var/lib/docker/tmp/1: no space left on device`), pulled),
      before: ['IMAGE_DISK_FULL'],
      said: /The engine’s disk has no room for the image/,
    },
    {
      name: 'at the start',
      rule: once(START, say(500, NO_SPACE, false)),
      said: /no space left on device.*Make room on the engine’s disk/,
    },
    {
      name: 'for long',
      rule: once(CREATE, say(500, NO_SPACE, false), 3),
      before: ['ENGINE_REFUSED'],
      said: /no space left on device.*Make room on the engine’s disk/,
    },
  ],
  'half of the JSON': [
    {
      name: 'of an inspect',
      rule: onceStarted(INSPECT, HALF),
      said: /its answer is not in the form that was expected/,
    },
    { name: 'of a create', rule: once(CREATE, HALF) },
    {
      name: 'of an image',
      job: 'pull',
      rule: all(once(IMAGE, HALF), pulls(pulled)),
      said: /could not inspect image .*its answer is not in the form that was expected/,
    },
  ],
  'a header of 1 MB': [
    { name: 'before a start', rule: once(START, HEADER), said: /Header overflow/ },
    { name: 'before a create', rule: once(CREATE, HEADER), said: /Header overflow/ },
    { name: 'before an inspect', rule: onceStarted(INSPECT, HEADER), said: /Header overflow/ },
    { name: 'before the output', rule: once(ATTACH, HEADER), said: /Header overflow/ },
  ],
};
