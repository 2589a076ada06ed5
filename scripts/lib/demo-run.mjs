// @ts-check
// What became of each example, told from the gateway's API alone; and whether it is what the example promises.
import { setTimeout as sleep } from 'node:timers/promises';
import { SetupError, seconds } from './say.mjs';

/**
 * @typedef {import('./demo-gateway.mjs').DemoGateway} DemoGateway
 * @typedef {import('./demo-examples.mjs').Envelope} Envelope
 * @typedef {Omit<import('../../src/core/api.ts').EventDetailResource, 'event'> & { event: Envelope }} EventDetail
 * @typedef {import('../../src/core/api.ts').ExecutionResource} Execution
 * @typedef {import('../../src/core/api.ts').DecisionResource} Decision
 * @typedef {import('./demo-examples.mjs').Example} Example
 * @typedef {{ event: EventDetail, decision: Decision, execution?: Execution, output: string, result: readonly string[] }} Outcome
 */

/** For one example from its setting off to its last byte of output; the clock alone may take fifteen seconds of it. */
const DEADLINE_MS = 120_000;

/**
 * Sets the examples off one after the other, each to its end, and shows them.
 * Throws a SetupError with the reason of each that did not come out as it should.
 * @param {DemoGateway} gateway
 * @param {readonly Example[]} examples
 */
export async function runExamples(gateway, examples) {
  const failures = [];
  const succeeded = [];
  for (const example of examples) {
    print(`\n── ${example.trigger}: ${example.title}`);
    print(`   ${example.tell}`);
    try {
      const uid = await within(DEADLINE_MS, example.setOff(gateway), 'no event came');
      const outcome = await within(DEADLINE_MS, follow(gateway, uid, example), 'its execution did not end');
      show(outcome);
      if (outcome.execution !== undefined) succeeded.push(`${example.trigger.padEnd(18)}SUCCEEDED`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      failures.push(`${example.trigger}: ${reason}`);
      print(`   failed      ${reason}`);
    }
  }
  if (failures.length > 0)
    throw new SetupError(`The demo failed:\n  ${failures.join('\n  ')}\nMore in .tappet/demo/gateway.log.`);
  print(`\n${succeeded.join('\n')}\nAll ${examples.length} examples succeeded.`);
}

/** @param {string} text */
export function print(text) {
  process.stdout.write(`${text}\n`);
}

/**
 * @template T
 * @param {number} ms
 * @param {Promise<T>} work
 * @param {string} complaint
 * @returns {Promise<T>}
 */
async function within(ms, work, complaint) {
  const late = sleep(ms, undefined, { ref: false }).then(() => {
    throw new Error(`${complaint} within ${ms / 1000} s`);
  });
  return Promise.race([work, late]);
}

/**
 * From an event to what its container wrote, and left in the store. Throws with the reason where it did not come to that.
 * @param {DemoGateway} gateway
 * @param {string} uid
 * @param {Pick<Example, 'trigger' | 'filtered' | 'result'>} example
 * @returns {Promise<Outcome>}
 */
export async function follow(gateway, uid, { trigger, filtered, result }) {
  /** @type {EventDetail} */
  let event;
  while ((event = await gateway.get(`/events/${uid}`)).decideTime === null) await sleep(100);
  const decision = event.decisions.find((one) => one.trigger === trigger);
  if (decision === undefined) throw new Error('no trigger considered the event');
  if (filtered && decision.outcome === 'filtered') return { event, decision, output: '', result: [] };
  if (filtered || decision.outcome !== 'matched') {
    throw new Error(`the decision was "${decision.outcome}": ${decision.reason}`);
  }
  /** @type {Execution} */
  let execution;
  while ((execution = await gateway.get(`/executions/${decision.execution}`)).completionTime === null)
    await sleep(100);
  const output = await outputOf(gateway, execution);
  if (execution.state === 'SUCCEEDED') {
    const lines = (await result?.(gateway.store, event.event)) ?? [];
    return { event, decision, execution, output, result: lines };
  }
  throw new Error(
    `${execution.name} is ${execution.state}: ${execution.message ?? execution.reason}\n${output}`.trimEnd(),
  );
}

/**
 * @param {DemoGateway} gateway
 * @param {Execution} execution
 */
async function outputOf(gateway, execution) {
  const outputs = [];
  for (let index = 0; index < execution.taskCount; index++) {
    outputs.push(await gateway.text(`/executions/${execution.name}/tasks/${index}/logs`));
  }
  return outputs.join('').trimEnd();
}

/** @param {Outcome} outcome */
function show({ event, decision, execution, output, result }) {
  const { type, id, source, subject } = event.event;
  row('event', `${type}, id ${id}${subject === undefined ? '' : `, subject ${subject}`}`);
  row('', `from ${source}, let in as ${event.origin}`);
  row('decision', `${decision.outcome}: ${decision.reason}`);
  const values = Object.entries(decision.values ?? {}).map(
    ([path, value]) => `${path} is ${JSON.stringify(value)}`,
  );
  if (values.length > 0) row('', values.join(', '));
  if (execution === undefined) return;
  const ms = Date.parse(execution.completionTime ?? '') - Date.parse(event.receiveTime);
  const tasks = execution.taskCount === 1 ? '1 task' : `${execution.taskCount} tasks`;
  row('execution', `${execution.name}, ${tasks}: ${execution.state}, ${seconds(ms)} after the event came`);
  if (output !== '')
    output.split('\n').forEach((line, index) => row(index === 0 ? 'container' : '', `│ ${line}`));
  result.forEach((line, index) => row(index === 0 ? 'result' : '', line));
}

/**
 * @param {string} name
 * @param {string} text
 */
function row(name, text) {
  print(`   ${name.padEnd(12)}${text}`);
}
