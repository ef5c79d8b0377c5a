import { type IdentityError, toIdentityError } from "../../core/errors.ts"
import { type CompactJws, parseClaimsObject, parseCompactJws } from "../../core/jose/compact.ts"
import type { JsonObject } from "../../core/json.ts"
import {
  isLegacyToken,
  parseServiceAccountClaims,
  SERVICE_ACCOUNT_JWS,
  type ServiceAccountClaims,
} from "../../core/kube/service-account-claims.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import { attestationRefusal } from "./attestation-refusal.ts"
import type { ClusterTrust } from "./cluster-trust.ts"

/** A token that one cluster signed, for us, and that is in date. Whether the cluster still stands by it is not known. */
export interface VerifiedToken {
  readonly text: string
  readonly cluster: ClusterTrust
  readonly claims: ServiceAccountClaims
}

/** Every check that needs no question to the cluster, signature first. @throws IdentityError @see ATT-01..ATT-07 */
export async function verifyToken(
  token: string,
  clusters: readonly ClusterTrust[],
  now: Instant,
  signal: AbortSignal,
): Promise<VerifiedToken> {
  const { jws, payload } = readToken(token)
  if (isLegacyToken(payload)) throw attestationRefusal("legacy-token")
  const candidates = clusters.filter((cluster) => cluster.issuer === payload["iss"])
  if (candidates.length === 0) throw attestationRefusal("issuer-unknown")
  const cluster = await signingCluster(jws, candidates, signal)
  const claims = readClaims(payload)
  requireInDate(claims, now)
  requireAudience(claims, cluster)
  if (cluster.requireBoundPod && claims.pod === undefined) throw attestationRefusal("pod-binding-missing")
  if (cluster.requireBoundNode && claims.node === undefined) throw attestationRefusal("node-binding-missing")
  return { text: token, cluster, claims }
}

function readToken(token: string): { readonly jws: CompactJws; readonly payload: JsonObject } {
  try {
    const jws = parseCompactJws(token, SERVICE_ACCOUNT_JWS)
    return { jws, payload: parseClaimsObject(jws.payloadBytes) }
  } catch (cause) {
    throw translate(cause, "malformed", "token-malformed")
  }
}

function readClaims(payload: JsonObject): ServiceAccountClaims {
  try {
    return parseServiceAccountClaims(payload)
  } catch (cause) {
    throw translate(cause, "malformed", "claims-invalid")
  }
}

/** The cluster whose keys verify the token. A claim only narrows the choice; the signature makes it. @see ATT-03 INV-16 */
async function signingCluster(
  jws: CompactJws,
  candidates: readonly ClusterTrust[],
  signal: AbortSignal,
): Promise<ClusterTrust> {
  const attempts = await Promise.allSettled(candidates.map(({ keys }) => keys.verify(jws, signal)))
  const signers = candidates.filter((_, i) => attempts[i]?.status === "fulfilled")
  const [signer] = signers
  if (signers.length > 1) throw attestationRefusal("cluster-ambiguous")
  if (signer !== undefined) return signer
  const errors = attempts.map((attempt) =>
    attempt.status === "rejected" ? toIdentityError(attempt.reason) : undefined,
  )
  // While one cluster's keys cannot be read, "nobody signed this" is not known.
  const unsettled = errors.find((error) => error !== undefined && error.code !== "unauthenticated")
  if (unsettled !== undefined) throw translate(unsettled, "attestor-down", "keys-unavailable")
  throw attestationRefusal("signature-invalid", errors[0])
}

function requireInDate(claims: ServiceAccountClaims, now: Instant): void {
  if (now >= claims.expiresAt) throw attestationRefusal("token-expired")
  const validFrom = Math.max(claims.notBefore ?? 0, claims.issuedAt ?? 0)
  if (validFrom > now + CLOCK_SKEW) throw attestationRefusal("token-not-yet-valid")
}

/** A token that is also for somebody else could be replayed here by them. @see ATT-05 KC-01 */
function requireAudience(claims: ServiceAccountClaims, cluster: ClusterTrust): void {
  if (!claims.audiences.every((audience) => cluster.audiences.includes(audience))) {
    throw attestationRefusal("audience-mismatch")
  }
}

/** Errors of the expected code become our reason; anything else (a cancellation, a bug) stays what it is. */
function translate(
  thrown: unknown,
  code: IdentityError["code"],
  reason: Parameters<typeof attestationRefusal>[0],
): IdentityError {
  const error = toIdentityError(thrown)
  return error.code === code ? attestationRefusal(reason, error) : error
}

/** How far the clock of a cluster may run ahead of ours. Nothing is added to `exp`. */
const CLOCK_SKEW: Seconds = 30
