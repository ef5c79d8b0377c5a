import type { Authorize } from "./authorize.ts"
import type { Certify } from "./certify.ts"
import { grantedEvent, requesterOf } from "./intent.ts"
import type { IssueX509 } from "./requests.ts"

export interface IssueX509Deps {
  readonly authorize: Authorize
  readonly certify: Certify
}

/** The issuance cycle for X.509-SVIDs, for callers with a platform token. */
export function makeIssueX509({ authorize, certify }: IssueX509Deps): IssueX509 {
  return async (request, signal) => {
    const { attested, grant } = await authorize(request, "x509", signal)
    return certify({
      key: request.key,
      id: grant.id,
      hint: grant.hint,
      dnsNames: grant.dnsNames,
      rule: grant.rule,
      ttl: grant.x509Ttl,
      wantedTtl: request.ttl,
      evidenceExpiresAt: attested.claims.expiresAt,
      requester: requesterOf(attested),
      requestId: request.requestId,
      decision: (serial, at) => grantedEvent("x509", attested, grant, serial, request.requestId, at),
    })
  }
}
