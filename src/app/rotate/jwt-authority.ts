import { partIn, roleIn } from "../../core/authority/authority-roles.ts"
import { type JwtKeyAlgorithm, jwtSetKids, jwtSetName, signingSet } from "../../core/authority/jwt-keys.ts"
import type { RotationState } from "../../core/authority/rotation-state.ts"
import type { Instant } from "../../core/time.ts"
import type { AuthorityRecord, JwtKeyRecord } from "../../ports/authority-journal.ts"
import type { JwtKeySet } from "../authority/jwt-key-set.ts"
import { jwtKeyIds, type MakeJwtKeysDeps, makeJwtKeys } from "../authority/make-jwt-keys.ts"
import type { RotatedAuthority } from "./rotated-authority.ts"

export interface JwtAuthorityDeps extends MakeJwtKeysDeps {
  readonly algorithms: readonly JwtKeyAlgorithm[]
  readonly jwtKeys: Pick<JwtKeySet, "follow">
}

/** The JWT keys, one for each algorithm, as the machine rotates them: all at once, by the name of the set. @see JWKS-08 */
export function jwtAuthority(deps: JwtAuthorityDeps): RotatedAuthority {
  return {
    kind: "jwt",
    hasCanaries: false,
    signing: ({ jwtKeys }) => signingSet(jwtKeys),
    needsRestarts: () => false,
    keyId: (tag) => `jwt-${tag}`,
    make: async ({ id: rotation, keyId }) => {
      const made = await makeJwtKeys(deps, keyId, deps.algorithms, rotation)
      const addTo = (record: AuthorityRecord) => ({ ...record, jwtKeys: [...record.jwtKeys, ...made] })
      return { id: jwtSetName(made), notAfter: Number.POSITIVE_INFINITY, addTo }
    },
    withRoles: (record, state, now) => ({
      ...record,
      jwtKeys: record.jwtKeys.flatMap((key) => withRole(key, state, now)),
    }),
    removedKeyIds: ({ jwtKeys }) => jwtKeys.filter(({ state }) => state === "removed").map(({ keyId }) => keyId),
    plannedKeyIds: jwtKeyIds,
    follow: () => deps.jwtKeys.follow(),
  }
}

function withRole(key: JwtKeyRecord, state: RotationState, now: Instant): readonly JwtKeyRecord[] {
  const role = roleIn(
    state,
    key.state,
    partIn(state, (name) => jwtSetKids(name).includes(key.kid)),
  )
  if (role === undefined) return []
  if (role === key.state) return [key]
  const stopped = key.state === "active" ? { signedUntil: now } : {}
  return [{ ...key, ...stopped, state: role, since: now }]
}
