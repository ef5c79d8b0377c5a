import type { JsonObject } from "../core/json.ts"
import type { Secret } from "../core/secret.ts"
import type { SpiffeId } from "../core/spiffe/id.ts"

/**
 * The SPIFFE Workload API as a workload sees it. Every method throws IdentityError: `not-ready` when nobody listens or the
 * agent has nothing yet, `no-identity` when this caller is to have none.
 */
export interface WorkloadApi {
  /** The full set at once, then on each change. A reader that is slower gets the newest only. Ends on abort. */
  watchX509(signal: AbortSignal): AsyncIterable<X509Material>
  /** JWT keys by trust domain ID at once, then on each change: JWK Sets, UTF-8 JSON. */
  watchJwtBundles(signal: AbortSignal): AsyncIterable<ReadonlyMap<string, string>>
  /** @param spiffeId `undefined`: all identities of the caller */
  fetchJwt(
    audience: readonly string[],
    spiffeId: SpiffeId | undefined,
    signal: AbortSignal,
  ): Promise<readonly HeldJwt[]>
  validateJwt(audience: string, token: string, signal: AbortSignal): Promise<ValidJwt>
}

/** Everything of one X.509 message. Never without an SVID; the first is the default. */
export interface X509Material {
  readonly svids: readonly X509Svid[]
  /** CA certificates, DER, by trust domain ID. */
  readonly federated: ReadonlyMap<string, readonly Uint8Array[]>
}

export interface X509Svid {
  readonly spiffeId: SpiffeId
  readonly hint: string
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  /** PKCS#8, DER. */
  readonly key: Secret
  /** CA certificates of the own trust domain, DER. */
  readonly bundle: readonly Uint8Array[]
}

export interface HeldJwt {
  readonly spiffeId: SpiffeId
  readonly hint: string
  readonly token: string
}

export interface ValidJwt {
  readonly spiffeId: SpiffeId
  readonly claims: JsonObject
}
