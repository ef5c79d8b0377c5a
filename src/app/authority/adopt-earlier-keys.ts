import { jwtSetName } from "../../core/authority/jwt-keys.ts"
import type { Rotating } from "../../core/authority/rotation-state.ts"
import type { Instant } from "../../core/time.ts"
import type { AuthorityRecord, JwtKeyRecord } from "../../ports/authority-journal.ts"
import type { MakeJwtKeysDeps } from "./make-jwt-keys.ts"
import type { TrustState } from "./trust-state.ts"

/**
 * Take over keys of a version that rotated each of them by time alone. One that was announced has signed nothing and goes; one that
 * signs no more is drained, as at that point of a rotation. Nothing happens where a rotation knows of them. @see JWKS-05
 */
export async function adoptEarlierKeys(deps: MakeJwtKeysDeps & { readonly trust: TrustState }): Promise<void> {
  const { trust, keys, clock } = deps
  const before = trust.record()
  if (before.rotations.jwt.phase !== "stable" || before.jwtKeys.every(({ state }) => state === "active")) return
  const now = clock.now()
  await trust.update((record) => adopted(record, now))
  for (const { keyId } of announced(before)) await keys.destroy(keyId)
}

function adopted(record: AuthorityRecord, now: Instant): AuthorityRecord {
  const gone = announced(record)
  const jwtKeys = record.jwtKeys.filter((key) => !gone.includes(key)).map(stopped)
  const epoch = gone.length > 0 ? record.epoch + 1 : record.epoch
  const old = jwtKeys.filter(({ state }) => state === "retired")
  if (old.length === 0) return { ...record, epoch, jwtKeys }
  const next = jwtKeys.filter(({ state }) => state === "active")
  return { ...record, epoch, jwtKeys, rotations: { ...record.rotations, jwt: draining(old, next, epoch, now) } }
}

function announced({ jwtKeys }: AuthorityRecord): readonly JwtKeyRecord[] {
  return jwtKeys.filter(({ state }) => state === "published")
}

function stopped(key: JwtKeyRecord): JwtKeyRecord {
  return key.state === "retired" ? { ...key, signedUntil: key.since } : key
}

function draining(old: readonly JwtKeyRecord[], next: readonly JwtKeyRecord[], epoch: number, now: Instant): Rotating {
  const names = { id: "rotation-adopted", old: jwtSetName(old), others: [], next: jwtSetName(next) }
  const times = { startedAt: now, since: now, epochSince: now }
  const course = { auto: true, stopped: undefined, paused: false, emergency: false, waivers: [] }
  const keyId = next[0]?.keyId ?? ""
  return { ...names, keyId, ...times, ...course, phase: "draining", epoch, canary: { namespaces: [], prefixes: [] } }
}
