import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import type { Instant } from "../../core/time.ts"
import type { X509Issued } from "../../ports/identity-authority.ts"

/**
 * Check what the server issued before anybody sees it: the chain ends in an authority of `own`, is valid at `now`, names
 * the identity that was ordered, and its leaf holds `publicKey` (SubjectPublicKeyInfo, DER) and expires when the server
 * says. @throws IdentityError when it does not verify @see AGT-12
 */
export type VerifyIssued = (issued: X509Issued, publicKey: Uint8Array, own: TrustBundle, now: Instant) => void
