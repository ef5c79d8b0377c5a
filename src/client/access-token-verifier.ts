import { type DpopKey, makeProveDpop, type ProveDpop } from "../app/exchange/prove-dpop.ts"
import { type IdentityError, toIdentityError } from "../core/errors.ts"
import { type Confirmation, type ParsedAccessToken, parseAccessToken } from "../core/jose/access-token.ts"
import { parseClaimsObject } from "../core/jose/compact.ts"
import type { JsonObject } from "../core/json.ts"
import { Secret } from "../core/secret.ts"
import type { SpiffeId } from "../core/spiffe/id.ts"
import type { Instant, Seconds } from "../core/time.ts"
import type { Clock } from "../ports/clock.ts"
import type { JwsVerifier } from "../ports/jws.ts"
import type { ReplayLog } from "../ports/replay-log.ts"
import { accessTokenRefusal } from "./access-token-refusal.ts"
import type { Authorize } from "./authorize.ts"
import type { IssuerKeys } from "./issuer-keys.ts"
import { certificateThumbprint, type PeerIdentity } from "./peer.ts"

/** What came with a token and shows that its bearer is the one it was given to. */
export interface TokenProof {
  /** Give it when the request has a DPoP header. */
  readonly dpop?: DpopRequest | undefined
  /** The certificate that the client showed in the handshake: what `peerOf` or `peerOfCall` says, or its DER. */
  readonly clientCertificate?: Uint8Array | Pick<PeerIdentity, "thumbprint"> | undefined
}

export interface DpopRequest {
  /** Every value of the request's DPoP headers. */
  readonly proofs: readonly string[]
  readonly method: string
  /** Of the resource as its clients know it, never as a header of the request names it. */
  readonly url: string
}

/** An access token that passed every check. */
export interface VerifiedAccessToken {
  /** Whom it is about. */
  readonly subject: SpiffeId
  readonly clientId: string
  readonly audience: readonly string[]
  readonly scopes: readonly string[]
  /** Who acts for the subject, newest first; only the first may play a part in a decision. @see TX-05 */
  readonly actors: readonly SpiffeId[]
  readonly issuedAt: Instant
  readonly expiresAt: Instant
  /** `jti`. */
  readonly tokenId: string
  /** What the token is bound to; its possession was shown. */
  readonly confirmation: Confirmation | undefined
  /** All of them. */
  readonly claims: JsonObject
}

/**
 * @throws IdentityError `unauthenticated` with an `AccessTokenReason`; `policy-denied`, reason `token-subject`; `malformed` with a
 * `DpopReason` for a proof; `not-ready`, reason `issuer-keys-unavailable`, when the issuer's keys cannot be read @see CLT-14..CLT-18
 */
export type VerifyAccessToken = (token: string, proof?: TokenProof) => Promise<VerifiedAccessToken>

export interface AccessTokenTerms {
  /** Byte for byte. */
  readonly issuer: string
  /** Names of the service; one of the token's audiences must be one of them. */
  readonly audiences: readonly string[]
  readonly subject: Authorize
  readonly skew: Seconds
}

export interface VerifierDeps {
  readonly keys: IssuerKeys
  readonly verifier: JwsVerifier
  readonly replayLog: ReplayLog
  readonly clock: Clock
}

export function makeVerifyAccessToken(terms: AccessTokenTerms, deps: VerifierDeps): VerifyAccessToken {
  const { verifier, replayLog, clock, keys } = deps
  const proveDpop = makeProveDpop({ verifier, replayLog, clock, nonceKey: new Secret(NO_NONCE), nonce: () => "off" })
  return async (token, proof = {}) => {
    const parsed = refuseMalformed(() => parseAccessToken(token))
    const { claims } = parsed
    if (claims.iss !== terms.issuer) throw accessTokenRefusal("token-issuer")
    await keys.verify(parsed.jws)
    const all = checkTerms(parsed, terms, clock.now())
    await checkPossession(claims.confirmation, token, proof, proveDpop)
    if (terms.subject(claims.sub) !== true) throw accessTokenRefusal("token-subject")
    return {
      subject: claims.sub,
      clientId: claims.clientId,
      audience: claims.aud,
      scopes: claims.scopes,
      actors: claims.actors,
      issuedAt: claims.iat,
      expiresAt: claims.exp,
      tokenId: claims.jti,
      confirmation: claims.confirmation,
      claims: all,
    }
  }
}

/** Time and audience. @returns all claims */
function checkTerms({ jws, claims, notBefore }: ParsedAccessToken, terms: AccessTokenTerms, now: Instant): JsonObject {
  if (claims.exp <= now) throw accessTokenRefusal("token-expired")
  if (Math.max(notBefore ?? 0, claims.iat) > now + terms.skew) throw accessTokenRefusal("token-not-yet-valid")
  if (!claims.aud.some((one) => terms.audiences.includes(one))) throw accessTokenRefusal("token-audience")
  return parseClaimsObject(jws.payloadBytes)
}

async function checkPossession(
  confirmation: Confirmation | undefined,
  token: string,
  { dpop, clientCertificate }: TokenProof,
  proveDpop: ProveDpop,
): Promise<void> {
  const key = dpop && (await proveDpop(dpop.proofs, dpop.method, dpop.url, token))
  if (confirmation?.kind === "dpop") return requireKey(key, confirmation.jkt).spend()
  if (key !== undefined) throw accessTokenRefusal("token-not-bound")
  if (confirmation === undefined) return
  if (clientCertificate === undefined) throw accessTokenRefusal("certificate-missing")
  const shown =
    "thumbprint" in clientCertificate ? clientCertificate.thumbprint : certificateThumbprint(clientCertificate)
  if (shown !== confirmation.x5t) throw accessTokenRefusal("certificate-mismatch")
}

function requireKey(key: DpopKey | undefined, jkt: string): DpopKey {
  if (key === undefined) throw accessTokenRefusal("dpop-proof-missing")
  if (key.jkt !== jkt) throw accessTokenRefusal("dpop-key-mismatch")
  return key
}

function refuseMalformed<T>(read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    const error: IdentityError = toIdentityError(thrown)
    throw error.code === "malformed" ? accessTokenRefusal("token-malformed", error) : error
  }
}

const NO_NONCE = new Uint8Array(32)
