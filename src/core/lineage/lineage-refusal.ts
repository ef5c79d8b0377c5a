import type { AuditEvent } from "../audit/event.ts"
import { IdentityError } from "../errors.ts"
import type { Instant } from "../time.ts"

/** What is known of a request that {@link judgeRenewal} refused. */
export interface RefusedRenewal {
  readonly verdict: "violated" | "frozen"
  readonly at: Instant
  readonly actor: string
  readonly requestId: string
  readonly spiffeId: string
  /** Serial that was quoted; empty for none. */
  readonly quoted: string
  /** Newest serial of the lineage that is broken by it; empty when none is. */
  readonly current: string
}

/** The record of a refusal; it is committed before the caller hears of it. @see INV-31 LIN-04 */
export function refusedRenewalEvent(refused: RefusedRenewal): AuditEvent {
  const { verdict, at, actor, requestId, spiffeId, quoted, current } = refused
  if (verdict === "violated") {
    return { type: "lineage.violated", at, actor, requestId, spiffeId, serial: quoted, current, frozen: current !== "" }
  }
  const { code, reason = code } = renewalError("frozen")
  return { type: "svid.refused", at, actor, requestId, kind: "x509", code, reason }
}

/** @see INV-31 LIN-04 */
export function renewalError(verdict: RefusedRenewal["verdict"]): IdentityError {
  return new IdentityError("policy-denied", MESSAGES[verdict], { reason: `lineage-${verdict}`, next: NEXT })
}

/** True for what {@link renewalError} makes. */
export function isLineageRefusal({ reason }: IdentityError): boolean {
  return reason === LINEAGE_VIOLATED || reason === "lineage-frozen"
}

/** Reason of an incident. */
export const LINEAGE_VIOLATED = "lineage-violated"

const MESSAGES = {
  violated: "the certificate that was quoted is not the caller's to renew: somebody else went on from it",
  frozen: "two went on from one certificate of this pod: it gets no more of this identity",
} as const
const NEXT = "delete the pod, so that another takes its place, and look for lineage.violated in the audit log"
