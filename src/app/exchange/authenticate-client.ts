import { toIdentityError } from "../../core/errors.ts"
import { JWS_ALGORITHMS } from "../../core/jose/algorithm.ts"
import { parseClaimsObject, parseCompactJws } from "../../core/jose/compact.ts"
import type { ClientCredential } from "../../core/oauth/client-credential.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import type { Principal } from "../../core/policy/principal.ts"
import type { ClusterTrust } from "../attest/cluster-trust.ts"
import type { ProveClientAssertion, RegisteredClient } from "../attest/prove-client-assertion.ts"
import { isSole, type ProveJwtSvid } from "../attest/prove-jwt-svid.ts"
import type { ProveKubeToken } from "../attest/prove-kube-token.ts"
import type { ProveX509Svid } from "../attest/prove-x509-svid.ts"
import { refuseAs } from "../attest/token-refused.ts"
import type { TakeRate } from "../issue/rate-limit.ts"

/** A client that has authenticated. */
export interface AuthenticatedClient {
  readonly principal: Principal
  /** Of the certificate by which it did, `x5t#S256`: tokens are bound to it. */
  readonly x5t: string | undefined
}

export interface AuthenticateClientDeps {
  readonly proveJwtSvid: ProveJwtSvid
  readonly proveX509Svid: ProveX509Svid
  readonly proveKubeToken: ProveKubeToken
  readonly proveClientAssertion: ProveClientAssertion
  readonly clusters: () => readonly ClusterTrust[]
  /** By `client_id`. */
  readonly clients: () => ReadonlyMap<string, RegisteredClient>
  readonly issuer: string
  readonly rateLimit: TakeRate
}

/**
 * Authenticate the client of a request by its one credential, and count the request as its own; `undefined` when it has none.
 * @param chain of the handshake's client certificate, DER, leaf first
 * @throws IdentityError `unauthenticated` for whatever is wrong with the credential; `rate-limited`
 * @see CC-07 SCA-01..SCA-05 JB-01 MT-02 RPL-07
 */
export type AuthenticateClient = (
  credential: ClientCredential,
  chain: readonly Uint8Array[],
  signal: AbortSignal,
) => Promise<AuthenticatedClient | undefined>

export function makeAuthenticateClient(deps: AuthenticateClientDeps): AuthenticateClient {
  return async (credential, chain, signal) => {
    const proven = await proveCredential(deps, credential, chain, signal)
    if (proven === undefined) return undefined
    const { principal, x5t, spend } = proven
    deps.rateLimit(principal.facts.id, 1)
    await spend?.()
    return { principal, x5t }
  }
}

interface ProvenCredential extends AuthenticatedClient {
  /** Of a credential that is good once. */
  readonly spend?: () => Promise<void>
}

async function proveCredential(
  deps: AuthenticateClientDeps,
  credential: ClientCredential,
  chain: readonly Uint8Array[],
  signal: AbortSignal,
): Promise<ProvenCredential | undefined> {
  switch (credential.kind) {
    case "none":
      return undefined
    case "certificate":
      return deps.proveX509Svid(chain, credential.clientId)
    case "spiffe-jwt":
      return named(
        await deps.proveJwtSvid(credential.assertion, (aud) => isSole(aud, deps.issuer)),
        credential.clientId,
      )
    case "jwt-bearer":
      return named(await proveAssertion(deps, credential, signal), credential.clientId)
    default:
      return credential satisfies never
  }
}

/** An assertion that a cluster signed, or the client itself. Its `iss` narrows the choice; the signature makes it. */
async function proveAssertion(
  deps: AuthenticateClientDeps,
  { assertion, clientId }: ClientCredential & { kind: "jwt-bearer" },
  signal: AbortSignal,
): Promise<Pick<ProvenCredential, "principal" | "spend">> {
  const issuer = issuerOf(assertion)
  if (deps.clusters().some((cluster) => cluster.issuer === issuer)) {
    return proveClusterToken(deps, assertion, clientId, signal)
  }
  const client = deps.clients().get(issuer ?? "")
  if (client === undefined) throw requestRefusal("client-unknown")
  return deps.proveClientAssertion(assertion, client, deps.issuer, signal)
}

/** A token that the cluster refuses is no credential. */
async function proveClusterToken(
  deps: AuthenticateClientDeps,
  assertion: string,
  clientId: string | undefined,
  signal: AbortSignal,
) {
  try {
    return await deps.proveKubeToken(assertion, clientId, signal)
  } catch (thrown) {
    const error = toIdentityError(thrown)
    throw error.code === "attestation-denied" ? requestRefusal("client-assertion-invalid", error) : error
  }
}

function named(
  { principal, spend }: Pick<ProvenCredential, "principal" | "spend">,
  clientId: string | undefined,
): ProvenCredential {
  if (clientId !== undefined && clientId !== principal.facts.clientId) throw requestRefusal("client-id-mismatch")
  return { principal, x5t: undefined, ...(spend && { spend }) }
}

/** `iss` of a token of which nothing is verified. */
export function issuerOf(token: string): string | undefined {
  const claims = refuseAs("token-invalid", () => {
    const jws = parseCompactJws(token, {
      algorithms: JWS_ALGORITHMS,
      types: ["JWT", "JOSE", "client-authentication+jwt"],
      thumbprints: true,
    })
    return parseClaimsObject(jws.payloadBytes)
  })
  const iss = claims["iss"]
  return typeof iss === "string" ? iss : undefined
}
