import type { JwtAuthority, TrustBundle, TrustSnapshot } from "../../core/spiffe/bundle.ts"
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

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

export function sameList<T>(a: readonly T[], b: readonly T[], same: (x: T, y: T) => boolean): boolean {
  if (a.length !== b.length) return false
  return a.every((x, i) => {
    const y = b[i]
    return y !== undefined && same(x, y)
  })
}

/** A chain names its key, so the key need not be compared. */
function sameSvid(a: HeldSvid, b: HeldSvid): boolean {
  if (a.spiffeId !== b.spiffeId || a.hint !== b.hint || a.notAfter !== b.notAfter) return false
  return sameList(a.chain, b.chain, sameBytes) && sameList(a.federatesWith, b.federatesWith, Object.is)
}

function sameBundle(a: TrustBundle, b: TrustBundle): boolean {
  if (a.trustDomain !== b.trustDomain || a.sequence !== b.sequence || a.refreshHint !== b.refreshHint) return false
  return (
    sameList(a.x509Authorities, b.x509Authorities, sameBytes) &&
    sameList(a.jwtAuthorities, b.jwtAuthorities, sameJwtAuthority)
  )
}

function sameJwtAuthority(a: JwtAuthority, b: JwtAuthority): boolean {
  const names = Object.keys(a.jwk)
  if (a.kid !== b.kid || a.algorithm !== b.algorithm || names.length !== Object.keys(b.jwk).length) return false
  return names.every((name) => a.jwk[name] === b.jwk[name])
}
