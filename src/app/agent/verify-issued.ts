import { IdentityError } from "../../core/errors.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import type { Instant } from "../../core/time.ts"
import { verifySvidChain } from "../../core/x509/path.ts"
import type { X509Issued } from "../../ports/identity-authority.ts"

/** {@link verifyIssued}, or what stands in for it where chains are dummy bytes. */
export type VerifyIssued = (issued: X509Issued, publicKey: Uint8Array, own: TrustBundle, now: Instant) => void

/**
 * Check what the server issued before anybody sees it: the chain ends in an authority of `own`, names the identity that was
 * ordered, and its leaf holds `publicKey` (SubjectPublicKeyInfo, DER) and expires when the server says.
 * @throws IdentityError `malformed` or `unauthenticated` when it does not verify @see AGT-12
 */
export function verifyIssued(issued: X509Issued, publicKey: Uint8Array, own: TrustBundle, now: Instant): void {
  const { spiffeId, leaf } = verifySvidChain(issued.chain, own, now)
  if (spiffeId !== issued.spiffeId) throw new IdentityError("unauthenticated", "certificate is for another identity")
  if (Buffer.compare(leaf.spki, publicKey) !== 0)
    throw new IdentityError("unauthenticated", "certificate is for another key")
  if (leaf.notAfter !== issued.notAfter) throw new IdentityError("unauthenticated", "certificate has another expiry")
}
