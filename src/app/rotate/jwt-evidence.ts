import type { RotationEvidence } from "../../core/authority/evidence.ts"
import { jwtSetKids, signingSet } from "../../core/authority/jwt-keys.ts"
import type { Instant } from "../../core/time.ts"
import type { AuthorityRecord, JwtKeyRecord } from "../../ports/authority-journal.ts"

/**
 * What is known, as a rotation of JWT keys may rely on it: proxies hold no JWT keys, holders of certificates may hold tokens of any
 * key, and sets of keys take the place of keys. What was being signed when a key stopped comes into the log a little later, so the
 * moment at which it stopped counts like the end of a token. @see JWKS-05 EVD-15
 * @param signsWith the set that this process signs with
 */
export function jwtEvidence(
  { consumers, replicas, lastExpiry }: RotationEvidence,
  record: AuthorityRecord,
  signsWith: string,
): RotationEvidence {
  return {
    consumers: consumers.filter(({ kind }) => kind !== "sds").map((row) => ({ ...row, issuers: [] })),
    replicas: replicas.map((replica) => ({ ...replica, signsWith })),
    lastExpiry: new Map(setNames(record).flatMap((name) => lastOf(name, record.jwtKeys, lastExpiry))),
  }
}

function setNames({ jwtKeys, rotations }: AuthorityRecord): readonly string[] {
  const { jwt } = rotations
  const signing = signingSet(jwtKeys)
  if (jwt.phase === "stable") return signing === undefined ? [] : [signing]
  return "next" in jwt ? [jwt.old, ...jwt.others, jwt.next] : [jwt.old]
}

function lastOf(
  name: string,
  keys: readonly JwtKeyRecord[],
  lastExpiry: ReadonlyMap<string, Instant>,
): readonly (readonly [string, Instant])[] {
  const kids = jwtSetKids(name)
  const ends = [
    ...kids.flatMap((kid) => lastExpiry.get(kid) ?? []),
    ...keys.flatMap(({ kid, signedUntil }) => (kids.includes(kid) ? (signedUntil ?? []) : [])),
  ]
  return ends.length === 0 ? [] : [[name, Math.max(...ends)]]
}
