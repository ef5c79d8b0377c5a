import { hash } from "node:crypto"
import type { AuditEvent } from "../../core/audit/event.ts"
import type { Attested } from "../../core/policy/attested.ts"
import type { Grant } from "../../core/policy/grant.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { Seconds } from "../../core/time.ts"
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
    at: createdAt,
    actor: actorOf(attested),
    requestId,
    // The others in alphabetical order, as the log has them.
    authority: authorityId,
    degraded: attested.claims.degraded,
    epoch,
    kind,
    renews,
    revision: grant.revision,
    rule: grant.rule,
    serial,
    spiffeId: grant.id,
  }
}

/** What makes an X.509 request the one that it is. */
export interface RequestParts {
  /** SubjectPublicKeyInfo, DER, of at most 2048 octets. */
  readonly spki: Uint8Array
  /** SHA-256. */
  readonly evidenceDigest: Uint8Array
  readonly id: SpiffeId
  readonly wantedTtl: Seconds | undefined
}

/** Two requests with the same digest (SHA-256, hex) are the same request, tried again. @see INV-13 */
export function idempotencyKey({ spki, evidenceDigest, id, wantedTtl }: RequestParts): string {
  // Lengths first, so that no two requests are framed alike.
  const text = `${spki.length}:${evidenceDigest.length}:${wantedTtl}:${id}`
  const framed = Buffer.allocUnsafe(text.length + spki.length + evidenceDigest.length)
  framed.write(text, "latin1") // a SPIFFE ID is ASCII
  framed.set(evidenceDigest, text.length)
  framed.set(spki, text.length + evidenceDigest.length)
  return hash("sha256", framed)
}
