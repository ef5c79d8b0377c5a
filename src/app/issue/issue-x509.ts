import { type Holder, holderOf } from "../../core/authority/holder.ts"
import type { Instant } from "../../core/time.ts"
import { subjectOf } from "../ban/banned.ts"
import type { Authorize } from "./authorize.ts"
import type { Certify } from "./certify.ts"
import { grantedEvent, requesterOf } from "./intent.ts"
import type { IssueX509 } from "./requests.ts"

export interface IssueX509Deps {
  readonly authorize: Authorize
  readonly certify: Certify
  /** Told of each success: who holds it, and the epoch that was quoted; 0 for none, `undefined` when this process keeps it. */
  readonly issued: (holder: Holder, notAfter: Instant, quoted: number | undefined) => void
}

/** The issuance cycle for X.509-SVIDs, for callers with a platform token. */
export function makeIssueX509({ authorize, certify, issued }: IssueX509Deps): IssueX509 {
  return async (request, signal) => {
    const { attested, grant } = await authorize(request, "x509", signal)
    const requester = requesterOf(attested)
    const svid = await certify({
      key: request.key,
      id: grant.id,
      hint: grant.hint,
      dnsNames: grant.dnsNames,
      rule: grant.rule,
      ttl: grant.x509Ttl,
      wantedTtl: request.ttl,
      evidenceExpiresAt: attested.claims.expiresAt,
      requester,
      subject: subjectOf(attested, grant.id),
      // Without a pod there is nobody to tell two holders from.
      renews: requester.podUid === "" ? undefined : { quoted: request.renews },
      requestId: request.requestId,
      decision: (intent) => grantedEvent("x509", attested, grant, intent, request.requestId, request.renews),
    })
    issued(holderOf(requester), svid.notAfter, request.keptHere ? undefined : (request.bundleEpoch ?? 0))
    return svid
  }
}
