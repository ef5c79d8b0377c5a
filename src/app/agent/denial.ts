import type { ErrorCode, IdentityError } from "../../core/errors.ts"
import { DENIAL, OUTAGE, type RetryBounds } from "./jitter.ts"

/** True when the server answered, and the answer is that this caller has no identity. @see AGT-11 */
export function isDenial(error: IdentityError): boolean {
  return DENIALS.has(error.code)
}

/** True when the answer also takes away what is held. A refused token may be mended by the next one, so it does not. */
export function isRedaction(error: IdentityError): boolean {
  return REDACTIONS.has(error.code)
}

export function retryBoundsOf(error: IdentityError): RetryBounds {
  return isDenial(error) ? DENIAL : OUTAGE
}

const DENIALS: ReadonlySet<ErrorCode> = new Set(["no-identity", "policy-denied", "attestation-denied"])
const REDACTIONS: ReadonlySet<ErrorCode> = new Set(["no-identity", "policy-denied"])
