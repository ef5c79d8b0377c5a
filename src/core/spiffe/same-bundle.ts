import type { JwtAuthority, TrustBundle } from "./bundle.ts"

/** True when verifiers would learn nothing from the other. Sequence and refresh hint count as content. */
export function sameBundle(a: TrustBundle, b: TrustBundle): boolean {
  if (a.trustDomain !== b.trustDomain || a.sequence !== b.sequence || a.refreshHint !== b.refreshHint) return false
  return (
    sameList(a.x509Authorities, b.x509Authorities, sameBytes) &&
    sameList(a.jwtAuthorities, b.jwtAuthorities, sameJwtAuthority)
  )
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

function sameJwtAuthority(a: JwtAuthority, b: JwtAuthority): boolean {
  const names = Object.keys(a.jwk)
  if (a.kid !== b.kid || a.algorithm !== b.algorithm || names.length !== Object.keys(b.jwk).length) return false
  return names.every((name) => a.jwk[name] === b.jwk[name])
}
