import { makeJwksKeys } from "../adapters/kube/jwks-keys.ts"
import { IdentityError, toIdentityError } from "../core/errors.ts"
import type { CompactJws } from "../core/jose/compact.ts"
import type { Clock } from "../ports/clock.ts"
import type { JwsVerifier } from "../ports/jws.ts"
import { accessTokenRefusal } from "./access-token-refusal.ts"
import type { Fetch } from "./bounded-fetch.ts"
import { fetchDocument, fetchIssuerMetadata } from "./issuer-metadata.ts"

/** The keys that an issuer publishes. */
export interface IssuerKeys {
  /** @throws IdentityError `unauthenticated`, or `not-ready` with reason `issuer-keys-unavailable` */
  verify(jws: CompactJws): Promise<void>
}

export interface IssuerKeysTerms {
  readonly issuer: string
  /** `undefined`: the one that discovery names. */
  readonly jwksUri: string | undefined
  readonly fetch: Fetch
  /** Told of each read that failed, also when an older set still serves. */
  readonly onProblem: ((error: IdentityError) => void) | undefined
}

/**
 * The JWK Set of an issuer: read every 5 minutes, and at once for a key that is not in it, but not within 30 seconds of the last
 * read. When it cannot be read, the last one serves for up to an hour. @see CLT-18
 */
export function makeIssuerKeys(
  { issuer, jwksUri, fetch, onProblem }: IssuerKeysTerms,
  { verifier, clock }: { readonly verifier: JwsVerifier; readonly clock: Clock },
): IssuerKeys {
  const source = {
    lifetime: 300,
    cooldown: 30,
    read: async (signal: AbortSignal) => {
      const uri = jwksUri ?? (await fetchIssuerMetadata(fetch, issuer, signal)).jwksUri
      return await fetchDocument(fetch, uri, signal)
    },
  }
  const onReadFailed = (thrown: unknown): void => onProblem?.(toIdentityError(thrown))
  const keys = makeJwksKeys({ source, verifier, clock, onReadFailed })
  return {
    verify: async (jws) => {
      try {
        await keys.verify(jws, new AbortController().signal)
      } catch (thrown) {
        throw translated(toIdentityError(thrown))
      }
    },
  }
}

function translated(error: IdentityError): IdentityError {
  if (error.reason === "key-unknown") return accessTokenRefusal("token-key-unknown", error)
  if (error.reason === "signature-invalid") return accessTokenRefusal("token-signature-invalid", error)
  if (error.code !== "attestor-down") return error
  const reason = "issuer-keys-unavailable"
  return new IdentityError("not-ready", "the keys of the issuer cannot be read right now", { reason, cause: error })
}
