import { describe, expect, it } from 'vitest';
import { ensureEngine } from '../../scripts/setup.mjs';

const OWN = { dockerHost: 'unix:///var/run/docker.sock', description: 'Docker' };
const PRIVATE = { dockerHost: 'unix:///tmp/tappet/docker.sock', description: 'a private one' };
const TRIED = [{ place: '/var/run/docker.sock', why: 'nobody listens' }];

type Answer = typeof OWN | undefined;

/** A machine on which the finder gives these answers in turn; the order of what was done is kept. */
function machine(answers: Answer[], over: { root?: boolean; runs?: boolean; host?: string } = {}) {
  const done: string[] = [];
  const parts = {
    askFinder: async () => {
      done.push('find');
      const engine = answers.shift();
      return engine === undefined ? { tried: TRIED } : { tried: [], engine };
    },
    privateEngineRuns: async () => over.runs ?? false,
    joinPrivate: async () => {
      done.push('private');
      return PRIVATE;
    },
    mayInstall: () => over.root ?? true,
    ensureComponents: async (components: readonly { apt: string }[]) => {
      done.push(`install ${components.map(({ apt }) => apt).join(' ')}`);
    },
    say: (text: string) => done.push(text),
    env: over.host === undefined ? {} : { DOCKER_HOST: over.host },
  };
  return { parts, done };
}

const NOTHING = 'set-up: no container engine answers:\n  /var/run/docker.sock: nobody listens';
const INSTALL = 'install docker.io tini busybox-static iproute2';

describe('the engine of the set-up', () => {
  it('is the one that answers, and nothing is installed', async () => {
    const { parts, done } = machine([OWN]);
    expect(await ensureEngine(parts)).toBe(OWN);
    expect(done).toEqual(['find']);
  });

  it('is installed where none answers, and the finder is asked again', async () => {
    const { parts, done } = machine([undefined, OWN]);
    expect(await ensureEngine(parts)).toBe(OWN);
    expect(done).toEqual(['find', NOTHING, INSTALL, 'find']);
  });

  it('is a private one only where the installed one does not answer either', async () => {
    const { parts, done } = machine([undefined, undefined]);
    expect(await ensureEngine(parts)).toBe(PRIVATE);
    expect(done).toEqual(['find', NOTHING, INSTALL, 'find', 'private']);
  });

  it('is the private one of another command that runs', async () => {
    const { parts, done } = machine([undefined], { runs: true });
    expect(await ensureEngine(parts)).toBe(PRIVATE);
    expect(done).toEqual(['find', 'private']);
  });

  it('is no other than the one that DOCKER_HOST names', async () => {
    const { parts, done } = machine([undefined], { host: 'tcp://10.0.0.1:2375', runs: true });
    await expect(ensureEngine(parts)).rejects.toThrow(/DOCKER_HOST names cannot be used:\n.*nobody listens/);
    expect(done).toEqual(['find']);
  });

  it('is the reader’s to install where we may not: what to do is said', async () => {
    const { parts, done } = machine([undefined], { root: false });
    await expect(ensureEngine(parts)).rejects.toThrow(/container engine/);
    expect(done).toEqual(['find', NOTHING]);
  });
});
