import { roleIn } from "../../core/authority/authority-roles.ts"
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
    keyIds: ({ jwtKeys }, authority) => {
      const kids = jwtSetKids(authority)
      return jwtKeys.filter(({ kid }) => kids.includes(kid)).map(({ keyId }) => keyId)
    },
    plannedKeyIds: ({ keyId }) => jwtKeyIds(keyId),
    follow: () => deps.jwtKeys.follow(),
  }
}

function withRole(key: JwtKeyRecord, state: RotationState, now: Instant): readonly JwtKeyRecord[] {
  const role = roleIn(state, key.state, partOf(key, state))
  if (role === undefined) return []
  if (role === key.state) return [key]
  const stopped = key.state === "active" ? { signedUntil: now } : {}
  return [{ ...key, ...stopped, state: role, since: now }]
}

function partOf({ kid }: JwtKeyRecord, state: RotationState): "old" | "next" | undefined {
  if (!("next" in state)) return undefined
  if (jwtSetKids(state.old).includes(kid)) return "old"
  return jwtSetKids(state.next).includes(kid) ? "next" : undefined
}
