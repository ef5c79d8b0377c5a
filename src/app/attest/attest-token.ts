import { toIdentityError } from "../../core/errors.ts"
import { MAX_TOKEN_LENGTH } from "../../core/jose/compact.ts"
import { digestBytes, digestToken } from "../../core/jose/token-digest.ts"
import { Attested } from "../../core/policy/attested.ts"
import type { Millis } from "../../core/time.ts"
import { attestationRefusal } from "./attestation-refusal.ts"
import { AttestedCache, type Finding } from "./attested-cache.ts"
import type { ClusterTrust } from "./cluster-trust.ts"
import { makeReviewToken, type ReviewDeps, type ReviewOutcome } from "./review-token.ts"
import { type VerifiedToken, verifyToken } from "./verify-token.ts"
import { unlessAborted, withDeadline } from "./with-deadline.ts"

export interface AttestDeps extends ReviewDeps {
  /** The configured clusters. The same array as long as nothing changed; a new one drops all that is remembered. */
  readonly clusters: () => readonly ClusterTrust[]
}

/**
 * Attest the holder of a Kubernetes service-account token. A token that was attested in the last 60 s costs one SHA-256.
 * @throws IdentityError `unauthenticated`, `attestation-denied` or `attestor-down` with an `AttestationReason`
 * @see ATT-01..ATT-14 ATT-19
 */
export type AttestToken = (token: string, signal: AbortSignal) => Promise<Attested>

export function makeAttestToken(deps: AttestDeps): AttestToken {
  const { clock, telemetry } = deps
  const review = makeReviewToken(deps)
  const cache = new AttestedCache(clock)
  const flights = new Map<string, Flight>()
  const digestOf = makeDigest()

  const check = async (token: string, digest: string, clusters: readonly ClusterTrust[]): Promise<Attested> => {
    const started = clock.monotonic()
    const keep = (finding: Finding, life: Millis) => cache.keep(digest, clusters, finding, started, life)
    try {
      return await withDeadline(clock, ATTEST_TIMEOUT, NEVER, async (signal) => {
        const verified = await verifyToken(token, clusters, clock.now(), signal)
        const attested = witness(verified, digest, await review(verified, signal))
        keep({ kind: "attested", attested }, attested.claims.degraded ? SHORT_LIFE : LIFE)
        return attested
      })
    } catch (thrown) {
      const error = toIdentityError(thrown)
      if (error.code === "deadline") throw attestationRefusal("attestation-timeout", error)
      if (error.code === "attestation-denied") keep({ kind: "refused", error }, SHORT_LIFE)
      throw error
    }
  }

  /** One check for all who ask about the same token at the same time. It belongs to none of them, so none can cancel it. */
  const join = (token: string, digest: string, clusters: readonly ClusterTrust[]): Promise<Attested> => {
    const flying = flights.get(digest)
    if (flying?.clusters === clusters) return flying.result
    if (flights.size >= MAX_FLIGHTS) throw attestationRefusal("attestation-busy")
    const result = check(token, digest, clusters)
    const flight: Flight = { clusters, result }
    flights.set(digest, flight)
    const land = () => {
      if (flights.get(digest) === flight) flights.delete(digest)
    }
    result.then(land, land)
    return result
  }

  return async (token, signal) => {
    try {
      if (token.length > MAX_TOKEN_LENGTH) throw attestationRefusal("token-malformed")
      const clusters = deps.clusters()
      const digest = digestOf(token)
      const known = cache.find(digest, clusters)
      if (known?.kind === "refused") throw known.error
      const attested = known?.attested ?? (await unlessAborted(join(token, digest, clusters), signal))
      // It may have expired while the cluster was asked, also before this caller came to wait for the answer. @see ATT-04
      if (clock.now() >= attested.claims.expiresAt) throw attestationRefusal("token-expired")
      telemetry.attested(attested, known === undefined ? "checked" : "remembered")
      return attested
    } catch (thrown) {
      const error = toIdentityError(thrown)
      telemetry.refused(error)
      throw error
    }
  }
}

interface Flight {
  readonly clusters: readonly ClusterTrust[]
  readonly result: Promise<Attested>
}

/** {@link digestToken}, once for all who bring one token in one turn, as the items of a batch do. No token is kept beyond that. */
function makeDigest(): (token: string) => string {
  let last: { readonly token: string; readonly digest: string } | undefined
  const forget = () => {
    last = undefined
  }
  return (token) => {
    if (last?.token === token) return last.digest
    if (last === undefined) queueMicrotask(forget)
    last = { token, digest: digestToken(token) }
    return last.digest
  }
}

function witness({ cluster, claims }: VerifiedToken, digest: string, outcome: ReviewOutcome): Attested {
  return Attested.witness({
    kind: "k8s-token",
    cluster: cluster.name,
    namespace: claims.namespace,
    serviceAccount: claims.serviceAccount.name,
    serviceAccountUid: claims.serviceAccount.uid,
    pod: claims.pod,
    node: claims.node,
    tokenId: claims.tokenId,
    expiresAt: claims.expiresAt,
    evidenceDigest: digestBytes(digest),
    degraded: outcome === "degraded",
  })
}

const NEVER = new AbortController().signal
/** Counted from before the cluster was asked. @see ATT-13 */
const LIFE: Millis = 60_000
/** For what may change soon: a refusal by the cluster, and a renewal that passed without it. */
const SHORT_LIFE: Millis = 5_000
const ATTEST_TIMEOUT: Millis = 15_000
const MAX_FLIGHTS = 4_096
