// @ts-check
// The examples of config.example.json as the demo sets them off, and their results, read back from the store.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atEnd } from './command.mjs';
import { OUT } from './demo-store.mjs';
import { makeVideo, probe } from './ffmpeg.mjs';
import { root } from './say.mjs';

/**
 * @typedef {import('./demo-gateway.mjs').DemoGateway} DemoGateway
 * @typedef {import('./demo-store.mjs').DemoStore} DemoStore
 * @typedef {{ id: string, type: string, source: string, subject?: string, data?: any }} Envelope
 * @typedef {object} Example
 * @property {string} trigger
 * @property {string} title
 * @property {string} tell what to know about it, in a sentence
 * @property {(gateway: DemoGateway) => Promise<string>} setOff resolves with the uid of the event
 * @property {(store: DemoStore, event: Envelope) => Promise<string[]>} [result] lines about what it left in the store, read from there
 * @property {true} [filtered] it shows why something does not run
 */

/** The trigger that nobody has to set off. */
export const CLOCK = 'nightly-report';
export const CLOCK_ORIGIN = `trigger/${CLOCK}`;

/** What runs this often must not repeat a key of an earlier run. */
const RUN = Date.now().toString(36);
const VIDEO = { seconds: 2, width: 320, height: 180 };

/** @type {readonly Example[]} */
export const EXAMPLES = [
  {
    trigger: CLOCK,
    title: 'a schedule: totals of the orders in a bucket, as CSV and PDF',
    tell: 'Nobody sets this one off: it falls due every 15 seconds here (0 2 * * * is each night at two).',
    setOff: (gateway) => nextEvent(gateway, CLOCK_ORIGIN, {}),
    result: showReport,
  },
  {
    trigger: 'transcode-upload',
    title: 'an upload: a video becomes an MP4 and an HLS playlist',
    tell: `A video (${VIDEO.seconds} s, ${VIDEO.width}x${VIDEO.height}) was put into the bucket tappet-in; ffmpeg’s image has no S3 code in it.`,
    setOff: uploadVideo,
    result: showVideo,
  },
  {
    trigger: 'call-webhook',
    title: 'a call: another system, with a token of its identity provider',
    tell: 'The gateway checked the token against its issuer’s keys; the same call without one got 401.',
    setOff: async (gateway) => {
      await expectRefusal(gateway);
      return call(gateway, { number: `A-${RUN}`, customer: 'Ada', amount: 42 });
    },
    result: async (store, { data }) => quote(store, `invoices/${data.number}.txt`),
  },
  {
    trigger: 'call-webhook',
    title: 'the same call about nothing to pay: why nothing ran',
    tell: 'Its trigger says: when the amount is more than 0.',
    filtered: true,
    setOff: (gateway) => call(gateway, { number: `B-${RUN}`, customer: 'Bob', amount: 0 }),
  },
  {
    trigger: 'inbox-folder',
    title: 'a file: a CSV dropped into a folder is imported',
    tell: 'people.csv was moved into ./inbox; a file counts when nobody has written to it for two seconds.',
    setOff: dropFile,
    result: async (store, { data }) => quote(store, `imports/${data.name}.jsonl`),
  },
];

const startTime = Date.now();

/**
 * What the examples need in the store before the clock starts one.
 * @param {DemoStore} store
 */
export async function prepareStore(store) {
  await store.put('sales/orders.csv', readFileSync(join(root, 'examples/nightly-report/orders.csv')));
}

/**
 * The first event of an origin that is neither older nor seen yet.
 * @param {DemoGateway} gateway
 * @param {string} origin
 * @param {{ since?: number, subject?: string, seen?: ReadonlySet<string> }} which
 * @returns {Promise<string>}
 */
export async function nextEvent(gateway, origin, { since = startTime, subject, seen = new Set() }) {
  for (;;) {
    const { events } = await gateway.get(`/events?origin=${origin}&pageSize=20`);
    for (const { uid, receiveTime, event } of events.reverse()) {
      const wanted = subject === undefined || event.subject === subject;
      if (wanted && Date.parse(receiveTime) >= since && !seen.has(uid)) return uid;
    }
    await sleep(200);
  }
}

// ---- nightly-report ------------------------------------------------------------------------------------------------

/** @type {NonNullable<Example['result']>} */
async function showReport(store, { data }) {
  const folder = `reports/${data.scheduledTime}`;
  const pdf = await store.get(`${folder}/report.pdf`);
  const pages = /\/Count (\d+)/.exec(pdf.toString('latin1'))?.[1] ?? '?';
  if (!pdf.subarray(0, 5).equals(Buffer.from('%PDF-'))) throw new Error('report.pdf is no PDF');
  const csv = await quote(store, `${folder}/report.csv`);
  return [...csv, `${OUT}/${folder}/report.pdf: ${pages} page, ${pdf.length} bytes`];
}

// ---- transcode-upload ----------------------------------------------------------------------------------------------

/** @param {DemoGateway} gateway */
async function uploadVideo(gateway) {
  const name = `uploads/clip-${RUN}.mov`;
  await inFolder(async (dir) => {
    await makeVideo(join(dir, 'clip.mov'), VIDEO);
    await gateway.store.put(name, readFileSync(join(dir, 'clip.mov')));
  });
  return nextEvent(gateway, 'connection/store', { subject: `objects/${name}` });
}

/** @type {NonNullable<Example['result']>} */
async function showVideo(store, { data }) {
  const mp4 = `videos/${data.name}.mp4`;
  const hls = `videos/${data.name}.hls/`;
  return inFolder(async (dir) => {
    const lines = [];
    for (const key of [mp4, ...(await store.list(hls))]) {
      writeFileSync(join(dir, key.slice(key.lastIndexOf('/') + 1)), await store.get(key));
    }
    for (const [key, file] of [
      [mp4, mp4.slice(mp4.lastIndexOf('/') + 1)],
      [`${hls}index.m3u8`, 'index.m3u8'],
    ]) {
      const { format, streams } = await probe(join(dir, file ?? ''));
      const video = streams.find(({ codec_type: type }) => type === 'video');
      lines.push(
        `${OUT}/${key}: ${video?.codec_name} ${video?.width}x${video?.height}, ${Number(format.duration).toFixed(2)} s`,
      );
    }
    return lines;
  });
}

// ---- call-webhook --------------------------------------------------------------------------------------------------

/**
 * @param {DemoGateway} gateway
 * @param {object} body
 */
async function call(gateway, body) {
  const response = await send(gateway, body, { authorization: `Bearer ${await fetchToken(gateway)}` });
  const text = await response.text();
  if (response.status !== 202)
    throw new Error(`POST /hooks/call-webhook was answered with ${response.status}: ${text}`);
  return String(JSON.parse(text).event);
}

/** @param {DemoGateway} gateway */
async function fetchToken({ issuer, clientSecret }) {
  const form = {
    grant_type: 'client_credentials',
    client_id: 'shop',
    client_secret: clientSecret,
    resource: 'https://tappet',
  };
  const response = await fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams(form) });
  const answer = /** @type {Record<string, unknown>} */ (await response.json());
  if (!response.ok) throw new Error(`the demo issuer gave no token: ${JSON.stringify(answer)}`);
  return String(answer['access_token']);
}

/**
 * The same call without a token must not get in.
 * @param {DemoGateway} gateway
 */
async function expectRefusal(gateway) {
  const { status } = await send(gateway, { number: `A-${RUN}`, customer: 'Ada', amount: 42 }, {});
  if (status !== 401) throw new Error(`a call without a token was answered with ${status} instead of 401`);
}

/**
 * @param {DemoGateway} gateway
 * @param {object} body
 * @param {Record<string, string>} headers
 */
function send({ url }, body, headers) {
  return fetch(`${url}/hooks/call-webhook`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID(), ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(15_000),
  });
}

// ---- inbox-folder --------------------------------------------------------------------------------------------------

/** @param {DemoGateway} gateway */
async function dropFile(gateway) {
  const name = `people-${RUN}.csv`;
  const file = join(gateway.inbox, name);
  writeFileSync(`${file}.part`, readFileSync(join(root, 'examples/inbox-folder/people.csv')));
  renameSync(`${file}.part`, file);
  atEnd(() => rmSync(file, { force: true }));
  return nextEvent(gateway, 'trigger/inbox-folder', { subject: name });
}

// ---- results -------------------------------------------------------------------------------------------------------

/**
 * The name of an object and its text, line by line.
 * @param {DemoStore} store
 * @param {string} key
 */
async function quote(store, key) {
  const lines = (await store.get(key)).toString('utf8').trimEnd().split('\n');
  return [`${OUT}/${key}`, ...lines.map((line) => `│ ${line}`)];
}

/**
 * @template T
 * @param {(dir: string) => Promise<T>} work
 */
async function inFolder(work) {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-demo-'));
  try {
    return await work(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
