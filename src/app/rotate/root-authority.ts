import { partIn, roleIn } from "../../core/authority/authority-roles.ts"
import type { RotationState } from "../../core/authority/rotation-state.ts"
import type { AuthorityRecord, RootRecord } from "../../ports/authority-journal.ts"
import type { IssuingAuthorities } from "../authority/issuing-authorities.ts"
import { rootId } from "../authority/root-id.ts"
import { type MakeRootDeps, makeRoot } from "./make-root.ts"
import type { RotatedAuthority } from "./rotated-authority.ts"

export interface RootAuthorityDeps extends MakeRootDeps {
  readonly issuing: Pick<IssuingAuthorities, "follow">
}

/** The X.509 root, as the machine rotates it. It is called by its key identifier, in hex. */
export function rootAuthority(deps: RootAuthorityDeps): RotatedAuthority {
  return {
    kind: "x509",
    hasCanaries: true,
    signing: ({ roots }) => {
      const active = roots.find(({ state }) => state === "active")
      return active === undefined ? undefined : rootId(active)
    },
    keyId: (tag) => `root-${tag}`,
    make: async (plan) => {
      const made = await makeRoot(deps, plan)
      const addTo = (record: AuthorityRecord) => ({ ...record, roots: [...record.roots, made] })
      return { id: rootId(made), notAfter: made.notAfter, addTo }
    },
    withRoles: (record, state) => ({ ...record, roots: record.roots.flatMap((root) => withRole(root, state)) }),
    removedKeyIds: ({ roots }) => roots.filter(({ state }) => state === "removed").map(({ keyId }) => keyId),
    plannedKeyIds: (keyId) => [keyId],
    follow: () => deps.issuing.follow(),
  }
}

function withRole(root: RootRecord, state: RotationState): readonly RootRecord[] {
  const id = rootId(root)
  const role = roleIn(
    state,
    root.state,
    partIn(state, (name) => name === id),
  )
  return role === undefined ? [] : [{ ...root, state: role }]
}
