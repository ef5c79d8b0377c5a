import type { AuditEvent } from "../../core/audit/event.ts"
import type { BanSubject } from "../../core/ban/ban-index.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Attested } from "../../core/policy/attested.ts"
import type { Decision, Grant } from "../../core/policy/grant.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { Clock } from "../../ports/clock.ts"
import type { AttestToken } from "../attest/attest-token.ts"
import type { BanView } from "../ban/ban-view.ts"
import { refuseBanned, subjectOf } from "../ban/banned.ts"
import type { ClockGuard } from "./clock-guard.ts"
import type { IssueEvents } from "./events.ts"
import type { TakeRate } from "./rate-limit.ts"
import type { CredentialRequest } from "./requests.ts"

/** Steps 2 and 3 of the issuance cycle: who is it, and may it have this identity? @see ISS-02 ISS-03 */
export type Authorize = (
  request: CredentialRequest,
  kind: "x509" | "jwt",
  signal: AbortSignal,
  /** Throws when the grant does not cover the rest of the request. */
  covers?: (grant: Grant) => void,
) => Promise<Authorised>

export interface Authorised {
  readonly attested: Attested
  readonly grant: Grant
  /** The caller under the identity that it was given, as bans name it. */
  readonly subject: BanSubject
}

export interface AuthorizeDeps {
  readonly attest: AttestToken
  readonly decide: (attested: Attested) => Decision
  readonly rateLimit: TakeRate
  readonly bans: Pick<BanView, "match">
  readonly audit: AuditLog
  readonly clock: Clock
  readonly guard: ClockGuard
  readonly events: IssueEvents
}

/** A refusal is in the audit log before the caller hears of it. @see INV-11 */
export function makeAuthorize(deps: AuthorizeDeps): Authorize {
  return async (request, kind, signal, covers) => {
    let actor = "unknown"
    try {
      deps.guard.demand()
      const attested = await deps.attest(request.token, signal)
      actor = actorOf(attested)
      const grant = chooseGrant(deps.decide(attested), request)
      covers?.(grant)
      deps.rateLimit(grant.id, 1)
      const subject = subjectOf(attested, grant.id)
      refuseBanned(deps.bans, subject)
      return { attested, grant, subject }
    } catch (thrown) {
      const error = toIdentityError(thrown)
      deps.events.refused(kind, request.requestId, error)
      if (!NOT_AUDITED.has(error.code))
        await deps.audit.append(refusalEvent(request, kind, actor, error, deps.clock.now()))
      throw error
    }
  }
}

/** Names the caller in audit records. */
export function actorOf(attested: Attested): string {
  const { cluster, namespace, serviceAccount, pod } = attested.claims
  return `k8s:${cluster}/${namespace}/${serviceAccount}${pod === undefined ? "" : `/${pod.name}`}`
}

function chooseGrant(decision: Decision, request: CredentialRequest): Grant {
  if (decision.kind === "refused") {
    throw new IdentityError(decision.code, decision.message, { reason: decision.reason })
  }
  const wanted = request.spiffeId
  const grant = wanted === undefined ? decision.grants[0] : decision.grants.find(({ id }) => id === wanted)
  if (grant === undefined) {
    throw new IdentityError("no-identity", "the rules do not give this identity to the caller", {
      reason: "identity-not-granted",
    })
  }
  return grant
}

function refusalEvent(
  request: CredentialRequest,
  kind: "x509" | "jwt",
  actor: string,
  error: IdentityError,
  at: number,
): AuditEvent {
  return {
    type: "svid.refused",
    kind,
    at,
    actor,
    requestId: request.requestId,
    code: error.code,
    reason: error.reason ?? error.code,
  }
}

/**
 * What was decided about an attested caller is audited. What could not be decided (overload, an outage, a cancelled call) is
 * counted and logged only, and so is a caller that proved nothing: else anybody could fill the disk.
 */
const NOT_AUDITED: ReadonlySet<IdentityError["code"]> = new Set([
  "malformed",
  "unauthenticated",
  "rate-limited",
  "not-ready",
  "attestor-down",
  "cancelled",
  "deadline",
  "internal",
])
