import { liveCrossCertificates } from "../../core/authority/cross-certificates.ts"
import type { IssuingAuthorities } from "../authority/issuing-authorities.ts"
import { issueAcrossEmergency } from "./hear-of-emergencies.ts"
import { type IssueServingDeps, issueServing, type ServingSvid } from "./issue-serving.ts"

export interface ServingChainDeps extends IssueServingDeps {
  readonly issuing: Pick<IssuingAuthorities, "current" | "whenReplaced">
}

/**
 * The server's own SVID as it is shown to whoever connects: its chain goes on with the cross-certificates of its root, so that who
 * trusts an earlier root alone, as long as that one lives, recognises the server. Never for a probe, which is to prove trust in one
 * root. @see ROT-71 ROT-72
 */
export function issueServingChain(deps: ServingChainDeps, signal: AbortSignal): Promise<ServingSvid> {
  return issueAcrossEmergency(() => issueChain(deps, signal))
}

async function issueChain(deps: ServingChainDeps, signal: AbortSignal): Promise<ServingSvid> {
  const authority = await deps.issuing.whenReplaced(() => deps.issuing.current(), signal)
  const svid = await issueServing({ ...deps, issuing: { current: () => authority } })
  const root = deps.trust.record().roots.find(({ keyId }) => keyId === authority.rootKeyId)
  const crossed = liveCrossCertificates(root?.crossCertificates ?? [], deps.clock.now())
  return { ...svid, chain: [...svid.chain, ...crossed] }
}
