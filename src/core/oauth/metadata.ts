import { JWS_ALGORITHMS } from "../jose/algorithm.ts"
import type { JsonObject } from "../json.ts"
import { DPOP_ALGORITHMS } from "./dpop-proof.ts"
import { CLIENT_AUTH_METHODS, GRANT_TYPES, TOKEN_TYPES } from "./urns.ts"

/** Where the documents of an issuer are found: paths on the host of the issuer. @see DISC-01 DISC-02 DISC-04 */
export interface WellKnownPaths {
  /** OIDC appends to the issuer's path. */
  readonly openid: string
  /** RFC 8414 inserts before it. Clients that append find it too. */
  readonly oauth: readonly string[]
  readonly protectedResource: readonly string[]
  readonly keys: string
}

/** @param issuer an https URL without query and fragment */
export function wellKnownPaths(issuer: string): WellKnownPaths {
  const path = new URL(issuer).pathname.replace(/\/$/, "")
  const both = (name: string) => [...new Set([`/.well-known/${name}${path}`, `${path}/.well-known/${name}`])]
  return {
    openid: `${path}/.well-known/openid-configuration`,
    oauth: both("oauth-authorization-server"),
    protectedResource: both("oauth-protected-resource"),
    keys: `${path}/keys`,
  }
}

/** The URL of an endpoint: the issuer, without a final slash, and the path. */
export function endpointOf(issuer: string, path: `/${string}`): string {
  return `${issuer.replace(/\/$/, "")}${path}`
}

/** The addresses of an issuer. Both https, without query and fragment. */
export interface IssuerAddresses {
  /** `iss`, and where documents and keys are found. */
  readonly issuer: string
  /** Where clients reach the other endpoints: the issuer, unless its documents are served from elsewhere. @see DISC-15 */
  readonly endpoints: string
}

/**
 * What an issuer says of itself, for OIDC discovery and RFC 8414 alike. Nobody logs in here: what OIDC demands for that is there,
 * and leads to an endpoint that refuses. @see DISC-03 DISC-05..DISC-11
 */
export function serverMetadata({ issuer, endpoints }: IssuerAddresses): JsonObject {
  const methods = { ...authMethods("token_endpoint"), ...authMethods("introspection_endpoint") }
  return {
    issuer,
    authorization_endpoint: endpointOf(endpoints, "/authorize"),
    token_endpoint: endpointOf(endpoints, "/token"),
    introspection_endpoint: endpointOf(endpoints, "/introspect"),
    revocation_endpoint: endpointOf(endpoints, "/revoke"),
    jwks_uri: endpointOf(issuer, "/keys"),
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["RS256", "ES256"],
    grant_types_supported: Object.values(GRANT_TYPES),
    ...methods,
    ...authMethods("revocation_endpoint"),
    introspection_signing_alg_values_supported: ["ES256"],
    dpop_signing_alg_values_supported: [...DPOP_ALGORITHMS],
    tls_client_certificate_bound_access_tokens: true,
    requested_token_types_supported: Object.values(TOKEN_TYPES).filter((type) => type !== TOKEN_TYPES.idToken),
    claims_supported: ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "act", "cnf"],
  }
}

/** RFC 9728: this server as a resource whose tokens it issues itself, as introspection and exchange take them. @see DISC-04 */
export function protectedResourceMetadata(issuer: string): JsonObject {
  return {
    resource: issuer,
    authorization_servers: [issuer],
    jwks_uri: endpointOf(issuer, "/keys"),
    bearer_methods_supported: ["body"],
    tls_client_certificate_bound_access_tokens: true,
    dpop_signing_alg_values_supported: [...DPOP_ALGORITHMS],
  }
}

function authMethods(endpoint: string): JsonObject {
  return {
    [`${endpoint}_auth_methods_supported`]: [...CLIENT_AUTH_METHODS],
    [`${endpoint}_auth_signing_alg_values_supported`]: [...JWS_ALGORITHMS],
  }
}
