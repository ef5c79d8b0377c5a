import type { Instant, Seconds } from "../time.ts"

/** Where a JWT key stands. @see JWKS-03 */
export type JwtKeyState = "next" | "active" | "retired"

/** What the schedule needs to know of a key. */
export interface ScheduledKey {
  readonly keyId: string
  readonly state: JwtKeyState
  /** When it entered this state. */
  readonly since: Instant
}

export interface JwtKeySchedule {
  /** How long a key signs. */
  readonly keyTtl: Seconds
  /** How long a key is published before it signs for the first time. */
  readonly publishAhead: Seconds
  /** Longest life of a token, plus the clock skew that verifiers allow: how long a key stays published after its last use. */
  readonly retiredGrace: Seconds
}

export type JwtKeyStep =
  /** Make a key and publish it. */
  | { readonly kind: "publish" }
  /** `keyId` signs from now on; the one that did is retired. */
  | { readonly kind: "activate"; readonly keyId: string }
  /** No token of this key can be alive: take it out of the bundle and destroy it. */
  | { readonly kind: "remove"; readonly keyId: string }

/** The next step that is due, if any. Steps are taken one at a time, and the question is asked again after each. */
export function nextJwtKeyStep(
  keys: readonly ScheduledKey[],
  now: Instant,
  schedule: JwtKeySchedule,
): JwtKeyStep | undefined {
  const gone = keys.find((key) => key.state === "retired" && now >= key.since + schedule.retiredGrace)
  if (gone !== undefined) return { kind: "remove", keyId: gone.keyId }
  const active = keys.find((key) => key.state === "active")
  const next = keys.find((key) => key.state === "next")
  if (active === undefined) return next === undefined ? { kind: "publish" } : { kind: "activate", keyId: next.keyId }
  const expires = active.since + schedule.keyTtl
  if (next === undefined) return now >= expires - schedule.publishAhead ? { kind: "publish" } : undefined
  const ripe = now >= expires && now >= next.since + schedule.publishAhead
  return ripe ? { kind: "activate", keyId: next.keyId } : undefined
}

/** The keys after `keyId` was activated. @throws RangeError when it is not a `next` key */
export function activateJwtKey<Key extends ScheduledKey>(keys: readonly Key[], keyId: string, now: Instant): Key[] {
  if (!keys.some((key) => key.keyId === keyId && key.state === "next")) throw new RangeError("not a next key")
  return keys.map((key) => {
    if (key.keyId === keyId) return { ...key, state: "active", since: now }
    return key.state === "active" ? { ...key, state: "retired", since: now } : key
  })
}

/** When a step may be due next, for a timer. */
export function nextJwtKeyCheck(keys: readonly ScheduledKey[], now: Instant, schedule: JwtKeySchedule): Instant {
  const times = keys.flatMap((key) => {
    if (key.state === "retired") return [key.since + schedule.retiredGrace]
    if (key.state === "next") return [key.since + schedule.publishAhead]
    return [key.since + schedule.keyTtl - schedule.publishAhead, key.since + schedule.keyTtl]
  })
  return Math.min(...times.filter((time) => time > now), now + MAX_SLEEP)
}

const MAX_SLEEP: Seconds = 3600
