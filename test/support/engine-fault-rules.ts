import { setTimeout } from 'node:timers/promises';
import { engineRequest } from './engine.ts';
import type { EngineCall, EngineFault, EngineFaultProxy } from './fault-proxy-engine.ts';

/** What a place of a fault has at hand. */
export interface FaultTools {
  readonly proxy: EngineFaultProxy;
  /** Containers that a place has made in the product's way, which must still be there at the end. */
  readonly strangers: string[];
  /** A call to the real engine, past the proxy; its status. */
  readonly engine: (method: string, path: string, body?: object) => Promise<number>;
  /** Whether a container has run to its end, by the real engine. */
  readonly ended: (name: string) => Promise<boolean>;
}

export interface Rule {
  /** How often the fault was done. */
  hits: number;
  decide(call: EngineCall): EngineFault | Promise<EngineFault>;
}

const PASS: EngineFault = { kind: 'pass' };
export const CREATE = /^POST \/containers\/create$/;
export const START = /^POST \/containers\/[^/]+\/start$/;
export const ATTACH = /^POST \/containers\/[^/]+\/attach$/;
export const INSPECT = /^GET \/containers\/[^/]+\/json$/;
export const REMOVE = /^DELETE \/containers\//;
export const LOGS = /^GET \/containers\/[^/]+\/logs$/;
export const EVENTS = /^GET \/events$/;
export const IMAGE = /^GET \/images\/.+\/json$/;
export const PULL = /^POST \/images\/create$/;

/** The first `times` calls that match. */
export const once =
  (pattern: RegExp, fault: EngineFault, times = 1) =>
  (): Rule => {
    const rule: Rule = {
      hits: 0,
      decide: ({ call }) => {
        if (!pattern.test(call) || rule.hits >= times) return PASS;
        rule.hits += 1;
        return fault;
      },
    };
    return rule;
  };

/** The first call that matches after the container was started. */
export const onceStarted = (pattern: RegExp, fault: EngineFault) => (): Rule => {
  let started = false;
  const rule: Rule = {
    hits: 0,
    decide: ({ call }) => {
      if (START.test(call)) started = true;
      if (!started || !pattern.test(call) || rule.hits > 0) return PASS;
      rule.hits += 1;
      return fault;
    },
  };
  return rule;
};

/** Every reading of the log, the first one after the container's end included. */
export const readingsToTheEnd =
  (fault: EngineFault) =>
  (tools: FaultTools): Rule => {
    const rule: Rule = {
      hits: 0,
      decide: async ({ call, query }) => {
        if (!LOGS.test(call) || query.has('follow') || rule.hits > 0) return PASS;
        if (await tools.ended(nameIn(call))) rule.hits += 1;
        return fault;
      },
    };
    return rule;
  };

/** Several at once; each must happen. */
export const all =
  (...rules: ((tools: FaultTools) => Rule)[]) =>
  (tools: FaultTools): Rule => {
    const made = rules.map((rule) => rule(tools));
    return {
      get hits() {
        return Math.min(...made.map(({ hits }) => hits));
      },
      decide: async (call) => {
        for (const rule of made) {
          const fault = await rule.decide(call);
          if (fault.kind !== 'pass') return fault;
        }
        return PASS;
      },
    };
  };

/** Something is done at the engine behind the product's back, right before the first call that matches goes on. */
export const behind =
  (pattern: RegExp, act: (call: EngineCall, tools: FaultTools) => Promise<void> | void) =>
  (tools: FaultTools): Rule => {
    const rule: Rule = {
      hits: 0,
      decide: async (call) => {
        if (!pattern.test(call.call) || rule.hits > 0) return PASS;
        rule.hits += 1;
        await act(call, tools);
        return PASS;
      },
    };
    return rule;
  };

/** Nobody gets to look at it between its death and its removal. */
export function removedWhileItRuns({ engine }: FaultTools): Rule {
  let removed: Promise<unknown> = Promise.resolve();
  const rule: Rule = {
    hits: 0,
    decide: async ({ call }) => {
      if (START.test(call) && rule.hits === 0) {
        rule.hits += 1;
        const remove = () => {
          removed = engine('DELETE', `/containers/${nameIn(call)}?force=1`);
        };
        void setTimeout(700).then(remove);
      }
      if (INSPECT.test(call)) await removed;
      return PASS;
    },
  };
  return rule;
}

/** What the engine says of pulls, one answer after the other; the last one for good. The image is there all the time. */
export const pulls = (...answers: EngineFault[]) => {
  return (): Rule => {
    const rule: Rule = {
      hits: 0,
      decide: ({ call }) => {
        if (!PULL.test(call)) return PASS;
        const answer = answers[Math.min(rule.hits, answers.length - 1)];
        rule.hits += 1;
        return answer ?? PASS;
      },
    };
    return rule;
  };
};

export const say = (status: number, message: string, engine: boolean): EngineFault => ({
  kind: 'say',
  status,
  body: JSON.stringify({ message }),
  engine,
});
export const pullLine = (line: object, neverEnds = false): EngineFault => ({
  kind: 'say',
  status: 200,
  body: `${JSON.stringify({ status: 'Pulling from tools', id: '1' })}\n${JSON.stringify(line)}\n`,
  neverEnds,
});
export const pulled = pullLine({ status: 'Status: Image is up to date' });
export const pullError = (error: string): EngineFault => pullLine({ errorDetail: { message: error }, error });
export const nameIn = (call: string): string => call.split('/')[2] ?? '';

/** The real engine's API, past the proxy. */
export function engineApi(path: string): Pick<FaultTools, 'engine' | 'ended'> {
  const endpoint = { kind: 'unix', path } as const;
  return {
    engine: async (method, target, body) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      return (await engineRequest(endpoint, method, `/v1.41${target}`, text)).status;
    },
    ended: async (name) => {
      const { body } = await engineRequest(endpoint, 'GET', `/v1.41/containers/${name}/json`);
      return body.includes('"Status":"exited"');
    },
  };
}
