import { type Holder, holderOf } from "../../core/authority/holder.ts"
import type { Renewal } from "../../core/lineage/lineage.ts"
import type { Instant } from "../../core/time.ts"
import type { Intent, Requester } from "../../ports/issuance-log.ts"
import type { Authorize } from "./authorize.ts"
import type { Certify } from "./certify.ts"
import type { IssueEvents } from "./events.ts"
import { grantedEvent, requesterOf } from "./intent.ts"
import type { IssueX509, X509Request } from "./requests.ts"
import { tellFailure } from "./tell-failure.ts"

export interface IssueX509Deps {
  readonly authorize: Authorize
  readonly certify: Certify
  readonly events: Pick<IssueEvents, "refused">
  /** Whether each pod of the cluster has one agent. @see LIN-12 */
  readonly hasOneAgent: (cluster: string) => boolean
  /** Told of each success: who holds it, and the epoch that was quoted, 0 for none, `undefined` when this process keeps it; and whether a trust probe proved it. */
  readonly issued: (holder: Holder, notAfter: Instant, quoted: number | undefined, proven: boolean) => void
}

/** The issuance cycle for X.509-SVIDs, for callers with a platform token. */
export function makeIssueX509({ authorize, certify, events, issued, hasOneAgent }: IssueX509Deps): IssueX509 {
  return async (request, signal) => {
    const { attested, grant, subject } = await authorize(request, "x509", signal)
    const requester = requesterOf(attested)
    const order = {
      key: request.key,
      id: grant.id,
      hint: grant.hint,
      dnsNames: grant.dnsNames,
      rule: grant.rule,
      ttl: grant.x509Ttl,
      wantedTtl: request.ttl,
      evidenceExpiresAt: attested.claims.expiresAt,
      requester,
      subject,
      renews: renewalOf(request, requester, hasOneAgent(requester.cluster)),
      requestId: request.requestId,
      decision: (intent: Intent) => grantedEvent("x509", attested, grant, intent, request.requestId, request.renews),
    }
    const svid = await tellFailure(events, "x509", request.requestId, () => certify(order, signal))
    issued(
      holderOf(requester),
      svid.notAfter,
      request.keptHere ? undefined : (request.bundleEpoch ?? 0),
      request.proven === true,
    )
    return svid
  }
}

/** `undefined`: nobody can tell its holders apart. @see LIN-09 LIN-12 */
function renewalOf(
  { renews, keptHere }: X509Request,
  { podUid }: Requester,
  isSole: boolean,
): Omit<Renewal, "key"> | undefined {
  // What this process keeps for a proxy lives beside the one agent.
  if (podUid === "" || (isSole && keptHere)) return undefined
  return { quoted: renews, isSole }
}
