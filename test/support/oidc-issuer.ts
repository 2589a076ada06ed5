export { startOidcIssuer, type OidcIssuer } from './oidc-issuer.mjs';
