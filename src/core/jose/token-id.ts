import type { Millis } from "../time.ts"
import { timeOctets } from "../time-octets.ts"

/** A fresh `jti`: lowercase hex of two octets of the monotonic time `at`, which keep the log together, and 112 random bits. */
export function makeTokenId(random: (bytes: number) => Uint8Array, at: Millis): string {
  return Buffer.concat([timeOctets(at), random(RANDOM_OCTETS)]).toString("hex")
}

const RANDOM_OCTETS = 14
