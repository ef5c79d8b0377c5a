import { toIdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { CertificateReader } from "../../ports/consumers.ts"
import type { TokenReviewResult } from "../../ports/kube.ts"
import type { AttestTelemetry } from "./attest-telemetry.ts"
import { attestationRefusal } from "./attestation-refusal.ts"
import { type BoundedGate, makeBoundedGate } from "./bounded-gate.ts"
import type { ReviewPolicy } from "./cluster-trust.ts"
import { matchReview } from "./match-review.ts"
import type { VerifiedToken } from "./verify-token.ts"
import { withDeadline } from "./with-deadline.ts"

/** Does this pod hold an SVID of ours that has not expired? Read from the issuance log. */
export type LiveSvid = CertificateReader["holdsCertificate"]

export interface ReviewDeps {
  readonly clock: Clock
  readonly liveSvid: LiveSvid
  readonly telemetry: AttestTelemetry
}

/** `degraded`: the cluster did not answer, and a renewal passed without. */
export type ReviewOutcome = "confirmed" | "skipped" | "degraded"

/** Ask the cluster about a verified token, as its policy says. @throws IdentityError @see ATT-08..ATT-11 INV-15 INV-17 */
export type ReviewToken = (token: VerifiedToken, signal: AbortSignal) => Promise<ReviewOutcome>

export function makeReviewToken(deps: ReviewDeps): ReviewToken {
  const lines = new Map<string, ReviewLine>()
  return async (token, signal) => {
    const { review, name } = token.cluster
    if (review.mode === "off") return "skipped"
    if (review.mode === "bootstrap" && (await isRenewal(deps, token))) return "skipped"
    const line = lines.get(name) ?? { gate: makeBoundedGate(MAX_RUNNING, MAX_WAITING), downSince: undefined }
    lines.set(name, line)
    const answer = await ask(deps, line, token, review, signal)
    if (answer !== undefined) {
      const refusal = matchReview(answer, token)
      if (refusal !== undefined) throw refusal
      return "confirmed"
    }
    if (await mayRenewUnreviewed(deps, line, token, review)) return "degraded"
    throw attestationRefusal("review-unavailable")
  }
}

/** State of the way to one cluster; one for each configured name. */
interface ReviewLine {
  readonly gate: BoundedGate
  /** First failure since the last answer, monotonic. */
  downSince: Millis | undefined
}

type Reviewed = Exclude<ReviewPolicy, { mode: "off" }>

/** `undefined`: the cluster did not answer. A full queue is no outage: it is thrown. */
async function ask(
  deps: ReviewDeps,
  line: ReviewLine,
  token: VerifiedToken,
  { reviewer }: Reviewed,
  signal: AbortSignal,
): Promise<TokenReviewResult | undefined> {
  const { clock, telemetry } = deps
  const { name, audiences } = token.cluster
  return line.gate.run(async () => {
    const started = clock.monotonic()
    try {
      const answer = await withDeadline(clock, REVIEW_TIMEOUT, signal, (limited) =>
        reviewer.review(token.text, audiences, limited),
      )
      line.downSince = undefined
      telemetry.reviewed(name, "answered", clock.monotonic() - started)
      return answer
    } catch (thrown) {
      const error = toIdentityError(thrown)
      if (signal.aborted || (error.code !== "attestor-down" && error.code !== "deadline")) throw error
      line.downSince ??= started
      telemetry.reviewed(name, "failed", clock.monotonic() - started)
      return undefined
    }
  }, signal)
}

/** The degraded rule. The token's own `exp` bounds it as well: a cluster that is down makes no new ones. @see ATT-10 */
async function mayRenewUnreviewed(
  deps: ReviewDeps,
  line: ReviewLine,
  token: VerifiedToken,
  { degradedFor }: Reviewed,
): Promise<boolean> {
  const down = deps.clock.monotonic() - (line.downSince ?? deps.clock.monotonic())
  return down < degradedFor * 1000 && (await isRenewal(deps, token))
}

async function isRenewal({ clock, liveSvid }: ReviewDeps, { cluster, claims }: VerifiedToken): Promise<boolean> {
  if (claims.pod === undefined) return false
  const { name: pod, uid: podUid } = claims.pod
  return await liveSvid({ cluster: cluster.name, namespace: claims.namespace, pod, podUid }, clock.now())
}

const REVIEW_TIMEOUT: Millis = 5_000
const MAX_RUNNING = 64
const MAX_WAITING = 1_024
