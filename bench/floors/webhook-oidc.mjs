// hono and jose with the same rows: what a careful hand-written service would do.
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { openRows } from './rows.mjs';

const [path, like, jwks] = process.argv.slice(2);
const commit = openRows(path, like);
const keys = createRemoteJWKSet(new URL(jwks));
const issuer = new URL(jwks).origin;
const app = new Hono();
app.post('/hooks/in', async (c) => {
  const token = (c.req.header('authorization') ?? '').slice('Bearer '.length);
  const { payload } = await jwtVerify(token, keys, { issuer, audience: 'bench', algorithms: ['RS256'] });
  const answer = await commit({ data: await c.req.json(), claims: payload });
  return c.body(answer, 202, { 'content-type': 'application/json' });
});
serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
  console.log(`listens on http://127.0.0.1:${port}`),
);
process.once('SIGTERM', () => process.exit(0));
