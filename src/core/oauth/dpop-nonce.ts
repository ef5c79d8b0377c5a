import { createHmac, timingSafeEqual } from "node:crypto"
import type { Secret } from "../secret.ts"
import type { Instant, Seconds } from "../time.ts"

/**
 * The nonce of the minute that `now` lies in: an HMAC of the minute's number, so that it needs no memory and every replica
 * with the same key gives and takes the same. 22 characters. @see DP-04 DP-08
 */
export function makeDpopNonce(key: Secret, now: Instant): string {
  return encode(key, bucketOf(now))
}

/** True for the nonce of this minute, of the one before, and, for replicas whose clock is ahead, of the next. */
export function isDpopNonce(nonce: string, key: Secret, now: Instant): boolean {
  const bucket = bucketOf(now)
  const candidates = [bucket, bucket - 1, bucket + 1].map((one) => isEqual(nonce, encode(key, one)))
  return candidates.includes(true)
}

function bucketOf(now: Instant): number {
  return Math.floor(now / BUCKET)
}

function encode(key: Secret, bucket: number): string {
  const mac = key.expose((bytes) => createHmac("sha256", bytes).update(`dpop nonce ${bucket}`).digest())
  return mac.subarray(0, NONCE_BYTES).toString("base64url")
}

function isEqual(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}

const BUCKET: Seconds = 60
const NONCE_BYTES = 16
