import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { containersOf } from './chaos-rounds.ts';

/** What a real engine says of itself on a connection of its own, past whatever stands in front of the product. */
export interface EngineOracle {
  /** The lives of an execution's containers, in the order of their starts. */
  lives(execution: string): readonly ContainerLife[];
  /** All that was done to them, in order. */
  actions(execution: string): readonly ContainerAction[];
  /** Those that are there now, running or not. */
  containers(execution: string): Promise<string[]>;
  close(): void;
}

export interface ContainerLife {
  readonly name: string;
  /** Epoch ns, by the engine. */
  readonly started: bigint[];
  readonly died: bigint[];
  /** Of each death. */
  readonly exitCodes: number[];
}

export interface ContainerAction {
  readonly name: string;
  readonly action: string;
  /** Its number, of a `kill`. */
  readonly signal?: number;
  /** Of the gateway that made the container. */
  readonly epoch: number;
  /** Epoch ns, by the engine. */
  readonly time: bigint;
}

interface EngineEvent {
  readonly Action: string;
  readonly timeNano: number;
  readonly Actor: { readonly Attributes: Readonly<Record<string, string>> };
}

const EXECUTION = 'dev.tappet.execution';
const EPOCH = 'dev.tappet.epoch';
const ACTIONS = ['create', 'start', 'kill', 'stop', 'restart', 'pause', 'die', 'destroy'];

export async function engineOracle(socketPath: string): Promise<EngineOracle> {
  const executions = new Map<string, Map<string, ContainerLife>>();
  const actions = new Map<string, ContainerAction[]>();
  const note = ({ Action, timeNano, Actor: { Attributes: attributes } }: EngineEvent): void => {
    const { [EXECUTION]: execution = '', [EPOCH]: epoch, name = '', signal } = attributes;
    const action = { name, action: Action, epoch: Number(epoch), time: BigInt(timeNano) };
    const whole = signal === undefined ? action : { ...action, signal: Number(signal) };
    actions.set(execution, [...(actions.get(execution) ?? []), whole]);
    if (Action !== 'start' && Action !== 'die') return;
    const lives = executions.get(execution) ?? new Map<string, ContainerLife>();
    executions.set(execution, lives);
    const life = lives.get(name) ?? { name, started: [], died: [], exitCodes: [] };
    lives.set(name, life);
    if (Action === 'start') life.started.push(BigInt(timeNano));
    else {
      life.died.push(BigInt(timeNano));
      life.exitCodes.push(Number(attributes['exitCode']));
    }
  };
  const stream = await follow(socketPath);
  let rest = '';
  stream.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') note(JSON.parse(line) as EngineEvent);
  });
  // Broken at the end of the test.
  stream.on('error', () => undefined);
  return {
    actions: (execution) => actions.get(execution) ?? [],
    lives: (execution) => [...(executions.get(execution)?.values() ?? [])],
    containers: async (execution) => {
      const found = await containersOf({ kind: 'unix', path: socketPath }, execution);
      return found.flatMap(({ Names }) => Names);
    },
    close: () => stream.destroy(),
  };
}

function follow(socketPath: string): Promise<IncomingMessage> {
  const filters = encodeURIComponent(JSON.stringify({ type: ['container'], event: ACTIONS }));
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: `/v1.41/events?filters=${filters}`, agent: false }, resolve);
    call.on('error', reject);
    call.end();
  });
}
