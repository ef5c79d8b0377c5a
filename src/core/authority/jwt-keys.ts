import type { Instant, Seconds } from "../time.ts"
import type { AuthorityRole } from "./authority-roles.ts"

/** One key for each algorithm makes a set, which rotates as one. @see JWKS-08 */
export type JwtKeyAlgorithm = "ES256" | "RS256"

/** What is asked of a key here. */
export interface JwtKeyFacts {
  readonly kid: string
  readonly algorithm: JwtKeyAlgorithm
  readonly state: AuthorityRole
  /** When it entered this state. */
  readonly since: Instant
}

export interface JwtKeySchedule {
  /** How long a set of keys signs. */
  readonly keyTtl: Seconds
  /** How long it is published before it signs for the first time. */
  readonly publishAhead: Seconds
  /** One key for each of these. */
  readonly algorithms: readonly JwtKeyAlgorithm[]
}

/** What a set of keys is called in rotations, evidence and audit: the `kid` of its key, or those of all with a plus between them. */
export function jwtSetName(keys: readonly Pick<JwtKeyFacts, "kid">[]): string {
  return keys
    .map(({ kid }) => kid)
    .toSorted()
    .join(PLUS)
}

/** The `kid` of each key of a set. */
export function jwtSetKids(name: string): readonly string[] {
  return name.split(PLUS)
}

/** What the keys that sign now are called; `undefined`: none does. */
export function signingSet(keys: readonly JwtKeyFacts[]): string | undefined {
  const signing = keys.filter(({ state }) => state === "active")
  return signing.length === 0 ? undefined : jwtSetName(signing)
}

/**
 * When the next set has to be made, so that it is published in time: ahead of the end of the oldest key that signs, and at once
 * when the algorithms are others than they should be. @see AUT-20
 */
export function jwtRotationDue(keys: readonly JwtKeyFacts[], schedule: JwtKeySchedule): Instant {
  const signing = keys.filter(({ state }) => state === "active")
  const algorithms = new Set(signing.map(({ algorithm }) => algorithm))
  const isComplete = schedule.algorithms.every((one) => algorithms.has(one))
  if (!isComplete || algorithms.size > schedule.algorithms.length) return 0
  return Math.min(...signing.map(({ since }) => since)) + schedule.keyTtl - schedule.publishAhead
}

/** In no base64url. */
const PLUS = "+"
