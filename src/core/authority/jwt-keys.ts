import type { Instant, Seconds } from "../time.ts"

/** Where a JWT key stands. @see JWKS-03 */
export type JwtKeyState = "next" | "active" | "retired"

/** Each has a sequence of keys of its own. @see JWKS-08 */
export type JwtKeyAlgorithm = "ES256" | "RS256"

/** What the schedule needs to know of a key. */
export interface ScheduledKey {
  readonly keyId: string
  readonly algorithm: JwtKeyAlgorithm
  readonly state: JwtKeyState
  /** When it entered this state. */
  readonly since: Instant
  /** The longest {@link JwtKeySchedule.retiredGrace} under which it could sign; absent where a version before this one made it. */
  readonly grace?: Seconds
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
  /** `keyId` signs from now on; the one of its algorithm that did is retired. */
  | { readonly kind: "activate"; readonly keyId: string }
  /** `keyId` signs no more, and nothing takes its place. */
  | { readonly kind: "retire"; readonly keyId: string }
  /** No token of this key can be alive: take it out of the bundle and destroy it. */
  | { readonly kind: "remove"; readonly keyId: string }

/**
 * The next step that is due for the keys of one algorithm, if any. Steps are taken one at a time, and the question is asked again
 * after each. @see JWKS-03 JWKS-08 AUT-20
 */
export function nextJwtKeyStep(
  keys: readonly ScheduledKey[],
  now: Instant,
  schedule: JwtKeySchedule,
): JwtKeyStep | undefined {
  const gone = removable(keys, now, schedule)
  if (gone !== undefined) return gone
  const active = keys.find((key) => key.state === "active")
  const next = keys.find((key) => key.state === "next")
  const expires = active === undefined ? now : active.since + schedule.keyTtl
  if (next === undefined) return now >= expires - schedule.publishAhead ? { kind: "publish" } : undefined
  const ripe = now >= expires && now >= next.since + schedule.publishAhead
  return ripe ? { kind: "activate", keyId: next.keyId } : undefined
}

/**
 * {@link nextJwtKeyStep} for the keys of an algorithm that is not used any more. The last one signs on until there is another to
 * sign. @param replaced a key of another algorithm is active
 */
export function nextDisusedKeyStep(
  keys: readonly ScheduledKey[],
  now: Instant,
  schedule: JwtKeySchedule,
  replaced: boolean,
): JwtKeyStep | undefined {
  const gone = removable(keys, now, schedule)
  if (gone !== undefined || !replaced) return gone
  const unused = keys.find((key) => key.state === "next")
  if (unused !== undefined) return { kind: "remove", keyId: unused.keyId }
  const active = keys.find((key) => key.state === "active" && now >= key.since + schedule.keyTtl)
  return active === undefined ? undefined : { kind: "retire", keyId: active.keyId }
}

/**
 * The keys as they must be written down before one of them signs under a schedule: a later one with shorter tokens does not make those
 * shorter that are out already. The same array when nothing is to be written. @see JWKS-05
 */
export function rememberGrace<Key extends ScheduledKey>(keys: readonly Key[], grace: Seconds): readonly Key[] {
  const isKnown = (key: Key) => key.state === "retired" || (key.grace ?? 0) >= grace
  if (keys.every(isKnown)) return keys
  return keys.map((key) => (isKnown(key) ? key : { ...key, grace }))
}

function goneAt({ since, grace = 0 }: ScheduledKey, { retiredGrace }: JwtKeySchedule): Instant {
  return since + Math.max(grace, retiredGrace)
}

function removable(keys: readonly ScheduledKey[], now: Instant, schedule: JwtKeySchedule): JwtKeyStep | undefined {
  const gone = keys.find((key) => key.state === "retired" && now >= goneAt(key, schedule))
  return gone && { kind: "remove", keyId: gone.keyId }
}

/** The keys after `keyId` was activated, and the one of its algorithm that signed retired. @throws RangeError when it is not a `next` key */
export function activateJwtKey<Key extends ScheduledKey>(keys: readonly Key[], keyId: string, now: Instant): Key[] {
  const chosen = keys.find((key) => key.keyId === keyId && key.state === "next")
  if (chosen === undefined) throw new RangeError("not a next key")
  return keys.map((key) => {
    if (key === chosen) return { ...key, state: "active", since: now }
    const isBefore = key.state === "active" && key.algorithm === chosen.algorithm
    return isBefore ? { ...key, state: "retired", since: now } : key
  })
}

/** The keys after `keyId` stopped to sign. */
export function retireJwtKey<Key extends ScheduledKey>(keys: readonly Key[], keyId: string, now: Instant): Key[] {
  return keys.map((key) => (key.keyId === keyId ? { ...key, state: "retired", since: now } : key))
}

/** When a step may be due next, for a timer. */
export function nextJwtKeyCheck(keys: readonly ScheduledKey[], now: Instant, schedule: JwtKeySchedule): Instant {
  const times = keys.flatMap((key) => {
    if (key.state === "retired") return [goneAt(key, schedule)]
    if (key.state === "next") return [key.since + schedule.publishAhead]
    return [key.since + schedule.keyTtl - schedule.publishAhead, key.since + schedule.keyTtl]
  })
  return Math.min(...times.filter((time) => time > now), now + MAX_SLEEP)
}

const MAX_SLEEP: Seconds = 3600
