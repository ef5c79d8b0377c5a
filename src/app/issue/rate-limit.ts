import { IdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"

/** A token bucket: `perSecond` on average, `burst` at once. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

export interface RateLimits {
  /** Per identity; at most {@link MAX_BUCKETS} identities are remembered, the longest unused is forgotten first. */
  readonly perIdentity: Rate
  /** All callers together. */
  readonly global: Rate
}

/**
 * Count `cost` issuances for `subject`. Nothing is taken from either bucket when one is empty.
 * @throws IdentityError `rate-limited` with the seconds after which it would pass
 */
export type TakeRate = (subject: string, cost: number) => void

/** @param monotonic a clock that never goes back */
export function makeRateLimit(limits: () => RateLimits, monotonic: () => Millis): TakeRate {
  const buckets = new Map<string, Bucket>()
  const everybody: Bucket = { level: limits().global.burst, at: monotonic() }
  let newest: Bucket | undefined
  return (subject, cost) => {
    const now = monotonic()
    const { perIdentity, global } = limits()
    const own = buckets.get(subject) ?? { level: perIdentity.burst, at: now }
    fill(own, perIdentity, now)
    fill(everybody, global, now)
    if (own.level < cost) throw limited("this identity asks for too many credentials", own, perIdentity, cost)
    if (everybody.level < cost) throw limited("the server is at its issuance limit", everybody, global, cost)
    own.level -= cost
    everybody.level -= cost
    if (own === newest) return
    newest = own
    buckets.delete(subject)
    buckets.set(subject, own)
    if (buckets.size > MAX_BUCKETS) forgetOldest(buckets)
  }
}

interface Bucket {
  level: number
  at: Millis
}

function fill(bucket: Bucket, rate: Rate, now: Millis): void {
  bucket.level = Math.min(rate.burst, bucket.level + ((now - bucket.at) / 1000) * rate.perSecond)
  bucket.at = now
}

function limited(message: string, bucket: Bucket, rate: Rate, cost: number): IdentityError {
  const wait = (cost - bucket.level) / rate.perSecond
  return new IdentityError("rate-limited", message, { retryAfter: Math.max(1, Math.ceil(wait)) })
}

function forgetOldest(buckets: Map<string, Bucket>): void {
  const oldest = buckets.keys().next()
  if (!oldest.done) buckets.delete(oldest.value)
}

const MAX_BUCKETS = 100_000
