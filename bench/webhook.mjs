// Durable webhook calls, each answered with its decision and execution, against a bare server that commits the same
// rows in groups. 64 connections, closed loop. Afterwards every 202 must have its event and its execution.
// `webhook-late.mjs` times such calls one by one.
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { exportJWK, SignJWT } from 'jose';
import { interleave, load, median, ROUNDS, scratch, startGateway, startProgram } from './lib.mjs';

const SECONDS = 5;
const CONNECTIONS = 64;
export const SECRET = 'a secret of the benchmark, 32 bytes';
export const BODY = JSON.stringify({ id: 1, kind: 'push', text: 'x'.repeat(960) });

export async function benchWebhook(kind) {
  const { dir, remove } = scratch();
  const issuer = kind === 'oidc' ? await startIssuer() : undefined;
  const headers = { 'content-type': 'application/json', ...(issuer ? issuer.headers : hmacHeaders()) };
  const { gateway, floor } = await startBoth(dir, kind, issuer);
  let sent = 0;
  const run = async (url, count) => {
    const result = await load(url, { seconds: SECONDS, headers, body: BODY });
    if (count) sent += result.requests;
    return result;
  };
  const results = await interleave(
    ROUNDS,
    () => run(`${gateway.url}/hooks/in`, true),
    () => run(`${floor.url}/hooks/in`, false),
  );
  await gateway.stop();
  await floor.stop();
  issuer?.close();
  // wrk may drop answers that were on the way when it ended, at most one a connection and run.
  checkDelivery(join(gateway.dataDir, 'tappet.db'), sent, CONNECTIONS * (ROUNDS + 1));
  remove();
  const medianOf = (who) => median(results[who].map(({ perSecond }) => perSecond));
  return [
    { name: `webhook-${kind}`, ours: medianOf('ours'), floor: medianOf('floor'), note: 'calls a second' },
  ];
}

/** The gateway, and the floor for this kind of calls with tables of the same shape. */
export async function startBoth(dir, kind, issuer) {
  const env = { DOCKER_HOST: 'unix:///nowhere/docker.sock', BENCH_SECRET: SECRET };
  const gateway = await startGateway(dir, config(kind, issuer), env);
  const floor = await startProgram([
    join(import.meta.dirname, `floors/webhook-${kind}.mjs`),
    join(dir, 'floor.db'),
    join(gateway.dataDir, 'tappet.db'),
    issuer?.jwks ?? '',
  ]);
  return { gateway, floor };
}

function config(kind, issuer) {
  const auth =
    kind === 'hmac'
      ? { hmac: { secret: { env: 'BENCH_SECRET' } } }
      : { oidc: { issuer: 'bench', audience: 'bench', require: "claims.sub == 'bench'" } };
  const trigger = { source: { kind: 'webhook', auth }, when: 'event.data.id > 0', run: { job: 'none' } };
  const issuers = issuer ? { bench: { issuer: issuer.url, allowHttp: true } } : {};
  return { issuers, jobs: { none: { image: 'none:1' } }, triggers: { in: trigger } };
}

export function hmacHeaders() {
  return { 'x-hub-signature-256': `sha256=${createHmac('sha256', SECRET).update(BODY).digest('hex')}` };
}

/** A loopback issuer: discovery, one RS256 key, one token that outlives the run. */
async function startIssuer() {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' };
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    const keys = { keys: [jwk] };
    response.end(JSON.stringify(request.url === '/jwks' ? keys : { issuer: url, jwks_uri: `${url}/jwks` }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${server.address().port}`;
  const token = await new SignJWT({ email: 'bench@example.com' })
    .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
    .setIssuer(url)
    .setAudience('bench')
    .setSubject('bench')
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey);
  return {
    url,
    jwks: `${url}/jwks`,
    headers: { authorization: `Bearer ${token}` },
    close: () => server.close(),
  };
}

/** Each of `sent` calls that were answered 202 has its execution, and at most `slack` more have one. */
export function checkDelivery(path, sent, slack) {
  const db = new Database(path, { readonly: true });
  const rows = db
    .prepare('SELECT COUNT(*) AS n FROM events e JOIN executions x ON x.event_uid = e.uid')
    .get().n;
  db.close();
  if (rows < sent || rows > sent + slack)
    throw new Error(`${sent} calls were answered 202, ${rows} executions are stored`);
}
