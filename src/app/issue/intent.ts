import { hash } from "node:crypto"
import type { AuditEvent } from "../../core/audit/event.ts"
import type { Attested } from "../../core/policy/attested.ts"
import type { Grant } from "../../core/policy/grant.ts"
import type { Intent, Requester } from "../../ports/issuance-log.ts"
import { actorOf } from "./authorize.ts"

/** The part of an intent that says for whom. */
export function requesterOf(attested: Attested): Requester {
  const { cluster, namespace, serviceAccount, pod, node, evidenceDigest } = attested.claims
  return {
    cluster,
    namespace,
    serviceAccount,
    pod: pod?.name ?? "",
    podUid: pod?.uid ?? "",
    node: node?.name ?? "",
    evidenceDigest,
  }
}

/** What a permit says of the intent that it is committed with. */
export type GrantedIntent = Pick<Intent, "serial" | "authorityId" | "epoch" | "createdAt">

/** The audit record of a permit; it is committed together with the intent. */
export function grantedEvent(
  kind: "x509" | "jwt",
  attested: Attested,
  grant: Grant,
  { serial, authorityId, epoch, createdAt }: GrantedIntent,
  requestId: string,
  /** Serial that was quoted. */
  renews = "",
): AuditEvent {
  return {
    type: "svid.granted",
    kind,
    at: createdAt,
    actor: actorOf(attested),
    requestId,
    spiffeId: grant.id,
    serial,
    authority: authorityId,
    epoch,
    renews,
    rule: grant.rule,
    revision: grant.revision,
    degraded: attested.claims.degraded,
  }
}

/** Two requests with the same digest are the same request, tried again. @see INV-13 */
export function idempotencyKey(parts: readonly (Uint8Array | string)[]): Buffer {
  const framed = Buffer.allocUnsafe(parts.reduce((sum, part) => sum + MAX_FRAME + MAX_UTF8 * part.length, 0))
  let at = 0
  for (const part of parts) {
    at += framed.write(`${part.length}:`, at)
    if (typeof part === "string") at += framed.write(part, at)
    else {
      framed.set(part, at)
      at += part.length
    }
  }
  return hash("sha256", framed.subarray(0, at), "buffer")
}

/** A length in decimal, and a colon. */
const MAX_FRAME = 12
/** Octets of one UTF-16 code unit, at most. */
const MAX_UTF8 = 3
