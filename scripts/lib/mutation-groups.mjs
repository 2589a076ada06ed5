// @ts-check
// Which tests judge which modules of src/auth in `npm run test:mutation`. Each change loads the tests anew, so that a
// module is judged by the direct ones alone, which are fast. Nowhere among them are those which load the whole
// configuration or make keys of RSA at once (claim-policy, jwt-attacks), read hundreds of vectors (wycheproof), ask a
// real server (jwks-stub-server, issuer-addresses), make thousands of tokens (token-mutations) or measure time
// (hostile-callers): whatever they notice more is not counted.

/** @typedef {{ modules: readonly string[], tests: readonly string[] }} Group */

/** @type {readonly Group[]} */
export const GROUPS = [
  { modules: ['algorithms'], tests: ['signature-algorithms'] },
  { modules: ['jwk-set', 'roca'], tests: ['published-keys', 'roca'] },
  { modules: ['claims'], tests: ['token-times'] },
  { modules: ['jws', 'strict-json'], tests: ['strict-tokens'] },
  { modules: ['identity', 'oidc'], tests: ['token-callers'] },
  { modules: ['fetch-document'], tests: ['fetched-documents', 'jwks-cache'] },
  { modules: ['unknown-kids'], tests: ['unknown-kids'] },
  { modules: ['jwks-cache'], tests: ['unknown-kids', 'jwks-cache', 'jwks-outages'] },
  { modules: ['issuers', 'keys'], tests: ['issuers', 'issuers-configured'] },
  { modules: ['api-tokens'], tests: ['api-tokens'] },
  { modules: ['comparisons', 'replay-window'], tests: ['refusals', 'constant-time'] },
  { modules: ['body-hmac'], tests: ['refusals', 'hmac-schemes', 'shared-secret'] },
  {
    modules: ['standard-webhooks'],
    tests: ['refusals', 'standard-webhooks', 'secret-forms', 'constant-time'],
  },
  {
    modules: ['secret-forms', 'shared-secret'],
    tests: ['refusals', 'secret-forms', 'shared-secret', 'callers'],
  },
  {
    modules: ['client-certificate', 'combined', 'verify'],
    tests: ['refusals', 'callers', 'shared-secret', 'constant-time'],
  },
];
