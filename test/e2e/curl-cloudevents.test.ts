import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const run = promisify(execFile);
const TOKEN = 'mF_9.B5f-4.1JqM';
/** Not text in any encoding. */
const BYTES = Buffer.from([0x80, 0x00, 0xff, 0x0b, 0x0d, 0x0a, 0x1a]);
const BASE64 = BYTES.toString('base64');

const webhook = (more: JsonObject = {}): JsonObject => ({
  source: { kind: 'webhook', auth: { bearer: { token: { env: 'HOOK_TOKEN' } } }, ...more },
  run: { job: 'work' },
});
const config: JsonObject = {
  jobs: { work: { image: 'nothing:1' } },
  triggers: {
    events: webhook(),
    recoded: webhook(),
    asked: webhook({ allowedOrigins: ['eventemitter.example.com'], rateLimit: { requests: 120, per: '1m' } }),
  },
};

const dir = mkdtempSync(join(tmpdir(), 'tappet-curl-events-'));
const gateway = new GatewayProcess({
  dir,
  config,
  // No job has to run.
  env: { DOCKER_HOST: 'tcp://127.0.0.1:1', HOOK_TOKEN: TOKEN },
});

beforeAll(async () => {
  writeFileSync(join(dir, 'thrift.bin'), BYTES);
  await gateway.start();
});
afterAll(async () => {
  await gateway.stop();
  rmSync(dir, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/**
 * A call as the specification writes it, made by the real curl: a header a line, an empty line, the body. Its host and
 * path are ours, and a token stands with it. The specification's own calls leave parts out ("... application data
 * ..."): they are filled in here. It writes PUT for some and says that methods are no more than illustrations; its "HTTP
 * 1.1 Web Hooks" asks for POST.
 */
async function curl(trigger: string, message: string, more: readonly string[] = []): Promise<Answer> {
  const at = message.indexOf('\n\n');
  const [head, body] = at < 0 ? [message, undefined] : [message.slice(0, at), message.slice(at + 2)];
  const headers = [`Authorization: Bearer ${TOKEN}`, ...head.trim().split('\n')].flatMap((line) => [
    '-H',
    line,
  ]);
  const data = body === undefined ? [] : ['--data-binary', body];
  const url = `${gateway.url}/hooks/${trigger}`;
  const { stdout } = await run('curl', ['-sS', '-i', ...headers, ...data, ...more, url], { cwd: dir });
  const [start = '', answer = ''] = stdout.split('\r\n\r\n');
  const [line = '', ...fields] = start.split('\r\n');
  const named = fields.map((field): [string, string] => {
    const colon = field.indexOf(':');
    return [field.slice(0, colon), field.slice(colon + 1).trim()];
  });
  return { status: Number(line.split(' ')[1]), headers: new Headers(named), body: answer };
}

interface Taken {
  readonly event: string;
  readonly duplicate: boolean;
}

/** What the gateway has of an event, as its API tells. */
async function stored({ event }: Taken): Promise<JsonObject> {
  const { event: envelope } = (await gateway.api('GET', `/api/v1/events/${event}`)).json();
  return envelope as JsonObject;
}

async function taken(answer: Answer): Promise<Taken> {
  expect(answer, answer.body).toMatchObject({ status: 202 });
  return JSON.parse(answer.body) as Taken;
}

describe("curl sends what the CloudEvents specification's HTTP binding shows", () => {
  it('in binary mode (3.1.4), with a value as 3.1.3.2 encodes it', async () => {
    const answer = await curl(
      'events',
      `ce-specversion: 1.0
ce-type: com.example.someevent
ce-time: 2018-04-05T03:56:24Z
ce-id: 1234-1234-1234
ce-source: /mycontext/subcontext
ce-subject: Euro%20%E2%82%AC%20%F0%9F%98%80
Content-Type: application/json; charset=utf-8

{
    "appinfoA" : "abc"
}
`,
    );
    expect(await stored(await taken(answer))).toEqual({
      specversion: '1.0',
      type: 'com.example.someevent',
      time: '2018-04-05T03:56:24Z',
      id: '1234-1234-1234',
      source: '/mycontext/subcontext',
      subject: 'Euro € 😀',
      datacontenttype: 'application/json; charset=utf-8',
      data: { appinfoA: 'abc' },
    });
  });

  it('in structured mode (3.2.4)', async () => {
    const answer = await curl(
      'events',
      `Content-Type: application/cloudevents+json; charset=utf-8

{
    "specversion" : "1.0",
    "type" : "com.example.someevent",

    "source" : "/mycontext",
    "id" : "S234-1234-1234",
    "time" : "2018-04-05T17:31:00Z",

    "data" : {
        "appinfoA" : "abc"
    }
}
`,
    );
    expect(await stored(await taken(answer))).toEqual({
      specversion: '1.0',
      type: 'com.example.someevent',
      source: '/mycontext',
      id: 'S234-1234-1234',
      time: '2018-04-05T17:31:00Z',
      data: { appinfoA: 'abc' },
    });
  });

  it('in batched mode (3.3.3, and 4.3 of the JSON format), the empty batch too', async () => {
    const answer = await curl(
      'events',
      `Content-Type: application/cloudevents-batch+json; charset=utf-8

[
  {
      "specversion" : "1.0",
      "type" : "com.example.someevent",
      "source" : "/mycontext/4",
      "id" : "B234-1234-1234",
      "time" : "2018-04-05T17:31:00Z",
      "comexampleextension1" : "value",
      "comexampleothervalue" : 5,
      "datacontenttype" : "application/vnd.apache.thrift.binary",
      "data_base64" : "${BASE64}"
  },
  {
      "specversion" : "1.0",
      "type" : "com.example.someotherevent",
      "source" : "/mycontext/9",
      "id" : "C234-1234-1234",
      "time" : "2018-04-05T17:31:05Z",
      "comexampleextension1" : "value",
      "comexampleothervalue" : 5,
      "datacontenttype" : "application/json",
      "data" : {
          "appinfoA" : "abc",
          "appinfoB" : 123,
          "appinfoC" : true
      }
  }
]
`,
    );
    expect(answer, answer.body).toMatchObject({ status: 202 });
    const { events } = JSON.parse(answer.body) as { events: Taken[] };
    const both = { specversion: '1.0', comexampleextension1: 'value', comexampleothervalue: 5 };
    expect(await Promise.all(events.map(stored))).toEqual([
      {
        ...both,
        type: 'com.example.someevent',
        source: '/mycontext/4',
        id: 'B234-1234-1234',
        time: '2018-04-05T17:31:00Z',
        datacontenttype: 'application/vnd.apache.thrift.binary',
        data: expect.objectContaining({ base64: BASE64 }) as object,
      },
      {
        ...both,
        type: 'com.example.someotherevent',
        source: '/mycontext/9',
        id: 'C234-1234-1234',
        time: '2018-04-05T17:31:05Z',
        datacontenttype: 'application/json',
        data: { appinfoA: 'abc', appinfoB: 123, appinfoC: true },
      },
    ]);
    const empty = await curl('events', 'Content-Type: application/cloudevents-batch+json\n\n[]');
    expect([empty.status, JSON.parse(empty.body)]).toEqual([202, { events: [] }]);
  });
});

interface Example {
  readonly id: string;
  /** Beside what all four have. */
  readonly json: string;
  readonly type: string | undefined;
  /** In binary mode, and what curl needs to send it. */
  readonly body: string;
  readonly options?: readonly string[];
  readonly data: unknown;
}

const EXAMPLES: readonly (Example & { readonly what: string })[] = [
  {
    what: 'bytes',
    id: 'A234-1234-1234',
    json: `"data_base64" : "${BASE64}"`,
    type: 'application/vnd.apache.thrift.binary',
    body: '',
    options: ['--data-binary', '@thrift.bin'],
    data: expect.objectContaining({ base64: BASE64 }),
  },
  {
    what: 'XML',
    id: 'B234-1234-1234',
    json: '"unsetextension": null, "data" : "<much wow=\\"xml\\"/>"',
    type: 'application/xml',
    body: '<much wow="xml"/>',
    data: '<much wow="xml"/>',
  },
  {
    what: 'an object',
    id: 'C234-1234-1234',
    json: '"subject": null, "data" : { "appinfoA" : "abc", "appinfoB" : 123, "appinfoC" : true }',
    type: 'application/json',
    body: '{\n  "appinfoA" : "abc",\n  "appinfoB" : 123,\n  "appinfoC" : true\n}',
    data: { appinfoA: 'abc', appinfoB: 123, appinfoC: true },
  },
  {
    what: 'a string, of no type that is said',
    id: 'D234-1234-1234',
    json: '"subject": null, "data" : "I\'m just a string"',
    type: undefined,
    body: '"I\'m just a string"',
    data: "I'm just a string",
  },
];

describe("curl sends the examples of the CloudEvents specification's JSON format (3.2)", () => {
  it.each(EXAMPLES)('$what: in JSON, and the same once more as binary mode has it', async (example) => {
    const { id, json, type, body, options, data } = example;
    const structured = await taken(
      await curl(
        'events',
        `Content-Type: application/cloudevents+json

{
    "specversion" : "1.0",
    "type" : "com.example.someevent",
    "source" : "/mycontext",
    "id" : "${id}",
    "time" : "2018-04-05T17:31:00Z",
    "comexampleextension1" : "value",
    "comexampleothervalue" : 5,
    ${type === undefined ? '' : `"datacontenttype" : "${type}",`}
    ${json}
}`,
      ),
    );
    const attributes = {
      specversion: '1.0',
      type: 'com.example.someevent',
      source: '/mycontext',
      id,
      time: '2018-04-05T17:31:00Z',
      comexampleextension1: 'value',
    };
    expect(await stored(structured)).toEqual({
      ...attributes,
      comexampleothervalue: 5,
      ...(type === undefined ? {} : { datacontenttype: type }),
      data,
    });
    const binary = `ce-specversion: 1.0
ce-type: com.example.someevent
ce-source: /mycontext
ce-id: ${id}
ce-time: 2018-04-05T17:31:00Z
ce-comexampleextension1: value
ce-comexampleothervalue: 5
content-type: ${type ?? 'application/json'}${options === undefined ? `\n\n${body}` : ''}`;
    // A header has no types: a number comes as its text.
    expect(await stored(await taken(await curl('recoded', binary, options)))).toEqual({
      ...attributes,
      comexampleothervalue: '5',
      datacontenttype: type ?? 'application/json',
      data,
    });
    expect(await taken(await curl('events', binary, options))).toMatchObject({
      event: structured.event,
      duplicate: true,
    });
  });
});

describe("curl asks as the specification's HTTP 1.1 Web Hooks (4.1) does", () => {
  it('and hears that it may send, and how often', async () => {
    const answer = await curl(
      'asked',
      'WebHook-Request-Origin: eventemitter.example.com\nWebHook-Request-Rate: 120',
      ['-X', 'OPTIONS'],
    );
    expect(answer.status).toBe(200);
    expect(answer.headers.get('webhook-allowed-origin')).toBe('eventemitter.example.com');
    expect(answer.headers.get('webhook-allowed-rate')).toBe('120');
    expect(answer.headers.get('allow')).toBe('POST');
  });
});
