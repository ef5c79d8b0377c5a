import type { TrustSnapshot } from "../../core/spiffe/bundle.ts"
import { sameBundle, sameBytes, sameList } from "../../core/spiffe/same-bundle.ts"
import type { HeldSvid, IdentityView } from "../deliver/identity-source.ts"

/** True when a consumer that has one would learn nothing from the other. @see AGT-03 */
export function sameView(a: IdentityView, b: IdentityView): boolean {
  return sameSnapshot(a.snapshot, b.snapshot) && sameList(a.svids, b.svids, sameSvid)
}

/** The epoch counts as content: consumers acknowledge it. */
export function sameSnapshot(a: TrustSnapshot, b: TrustSnapshot): boolean {
  if (a === b) return true
  if (a.epoch !== b.epoch || a.incarnation !== b.incarnation) return false
  return sameBundle(a.own, b.own) && sameList(a.federated, b.federated, sameBundle)
}

/** A chain names its key, so the key need not be compared. */
function sameSvid(a: HeldSvid, b: HeldSvid): boolean {
  if (a.spiffeId !== b.spiffeId || a.hint !== b.hint || a.notAfter !== b.notAfter) return false
  return sameList(a.chain, b.chain, sameBytes) && sameList(a.federatesWith, b.federatesWith, Object.is)
}
