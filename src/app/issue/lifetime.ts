import type { Instant, Seconds } from "../../core/time.ts"

/** What bounds the life of a credential. */
export interface LifetimeBounds {
  readonly now: Instant
  /** What the caller wants; `undefined` for all that the rule gives. */
  readonly wanted: Seconds | undefined
  /** What the rule gives. */
  readonly granted: Seconds
  /** Life of what signs. */
  readonly issuerNotBefore: Instant
  readonly issuerNotAfter: Instant
  /** When the evidence expires. */
  readonly evidenceExpiresAt: Instant
  /** Share of the life that jitter may take away, 0 to 0.5: it spreads renewals, and never adds. */
  readonly jitter: number
  /** A fresh fraction, 0 to 1. */
  readonly fraction: number
  /** How far the start is dated back, for verifiers whose clock is behind. @see INV-22 */
  readonly backdate: Seconds
}

export interface Lifetime {
  readonly notBefore: Instant
  readonly notAfter: Instant
}

/**
 * The life of a credential: never longer than wanted, granted, the issuer's own, or the evidence's by more than
 * {@link EVIDENCE_GRACE}. `undefined` when nothing remains. @see INV-05 ISS-11
 */
export function chooseLifetime(bounds: LifetimeBounds): Lifetime | undefined {
  const ttl = Math.min(bounds.wanted ?? bounds.granted, bounds.granted)
  const jittered = Math.ceil(ttl * (1 - bounds.jitter * bounds.fraction))
  const notAfter = Math.min(bounds.now + jittered, bounds.issuerNotAfter, bounds.evidenceExpiresAt + EVIDENCE_GRACE)
  const notBefore = Math.max(bounds.now - bounds.backdate, bounds.issuerNotBefore)
  return notAfter > bounds.now ? { notBefore, notAfter } : undefined
}

/**
 * How long a credential may outlive the platform token it was given for. Tokens live an hour by default and are renewed by
 * the kubelet at 80 % of that; without this, the last part of a token's life would give short credentials to everybody.
 */
export const EVIDENCE_GRACE: Seconds = 3600
