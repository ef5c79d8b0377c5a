import { requestRefusal } from "../../core/oauth/request-refusal.ts"
import type { Instant, Seconds } from "../../core/time.ts"

/** When a token is good, by its own words. */
export interface TokenWindow {
  readonly expiresAt: Instant
  readonly notBefore: Instant | undefined
  readonly issuedAt: Instant | undefined
}

/** @throws IdentityError `unauthenticated`, reason `token-expired` or `token-not-yet-valid` @see JOS-09 */
export function requireInDate({ expiresAt, notBefore, issuedAt }: TokenWindow, now: Instant): void {
  if (now >= expiresAt) throw requestRefusal("token-expired")
  if (Math.max(notBefore ?? 0, issuedAt ?? 0) > now + CLOCK_SKEW) throw requestRefusal("token-not-yet-valid")
}

/** Before when nobody can have used a token that {@link requireInDate} accepts; 0 when it does not say. */
export function usableFrom({ notBefore, issuedAt }: TokenWindow): Instant {
  return Math.max(notBefore ?? 0, issuedAt ?? 0, CLOCK_SKEW) - CLOCK_SKEW
}

/** How far the clock of an issuer may run ahead of ours. Nothing is added to `exp`. */
const CLOCK_SKEW: Seconds = 30
