// A gateway that ends itself with SIGKILL before or after the n-th call of one method of one port.
// CRASH=<port>.<method>:<before|after>:<n>, CRASH_RECORD=<file that then holds the place>.
// With CRASH_SIGNAL=SIGSTOP it only stands still there, once, and goes on in the middle of that call.
// CRASH_EMPTY=1: an answer that there is nothing to do is a step too.
// CRASH_TRACE=<file that gets a line for each method that is called>.
// CRASH_LOSES=<port>.<method>: it is answered as ever, and forgotten, as by an engine that ends in between.
// The product has no hook for this: the ports are wrapped from outside.
import { appendFileSync, writeFileSync } from 'node:fs';
import { serveWrapped } from './wrapped-gateway.mjs';

const place = process.env.CRASH ?? '';
const [target = '', side = '', count = '1'] = place.split(':');
const { CRASH_RECORD: record, CRASH_TRACE: trace, CRASH_LOSES: lost = '' } = process.env;
const signal = process.env.CRASH_SIGNAL ?? 'SIGKILL';
let calls = 0;
/** The claim at its start goes beside the address that it prints; who starts it waits for that one. */
let armed = target !== 'store.claimAttempts';
const traced = new Set();

function die() {
  writeFileSync(record, place);
  process.kill(process.pid, signal);
}

const begins = (name) => {
  if (trace !== undefined && !traced.has(name)) appendFileSync(trace, `${name}\n`);
  traced.add(name);
  if (armed && name === target && side === 'before' && ++calls === Number(count)) die();
};
const ends = (name) => {
  if (armed && name === target && side === 'after' && ++calls === Number(count)) die();
};

/** Of what looks for work, an answer that there is none is no step on any way. */
const isNothing = (answer) => process.env.CRASH_EMPTY !== '1' && isEmpty(answer);
const isEmpty = (answer) =>
  answer === 0 || (Array.isArray(answer) ? answer.length === 0 : answer?.claims?.length === 0);

/** What a method gives that is called in its turn. */
const GIVES = {
  'runner.ensure': (ensured) =>
    ensured.outcome === 'started'
      ? { ...ensured, captured: step('ensured.captured', () => ensured.captured) }
      : ensured,
  'runner.outputs': (file) => ({ ...file, body: stream('outputFile.body', file.body) }),
  'logs.open': (writer) => around('writer', writer),
  'objects.connection': (store) => store && around('objectStore', store),
  'objectStore.get': (found) => found && { ...found, body: stream('objectBody.body', found.body) },
  'localFiles.open': fileOf,
  'bodies.openBody': fileOf,
  'bodies.receive': (body) => around('receivedBody', body),
};
function fileOf(file) {
  return typeof file === 'string' ? file : { ...file, body: stream('localFile.body', file.body) };
}

function step(name, call) {
  begins(name);
  if (name === lost) return Promise.resolve();
  const gives = GIVES[name] ?? ((given) => given);
  const given = call();
  if (given?.[Symbol.asyncIterator] !== undefined) return items(name, given, gives);
  if (!(given instanceof Promise)) {
    ends(name);
    return gives(given);
  }
  return given.then((settled) => {
    if (!isNothing(settled)) ends(name);
    return gives(settled);
  });
}

/** Each of its items is a step: it is over when the next one is asked for. */
async function* items(name, given, gives = (item) => item) {
  for await (const item of given) {
    yield gives(item);
    ends(name);
  }
}

/** It begins when it is first read. */
async function* stream(name, body) {
  begins(name);
  yield* items(name, body);
}

/** The same object, each call of which is a step. Private fields need the object itself as `this`. */
function around(port, object) {
  return new Proxy(object, {
    get(inner, key) {
      const value = inner[key];
      if (typeof value !== 'function') return value;
      return (...args) => step(`${port}.${String(key)}`, () => value.apply(inner, args));
    },
  });
}

const PORTS = ['store', 'runner', 'logs', 'objects', 'secrets', 'localFiles', 'bodies'];
await serveWrapped(Object.fromEntries(PORTS.map((port) => [port, (object) => around(port, object)])));
armed = true;
