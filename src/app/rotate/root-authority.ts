import { partIn, roleIn } from "../../core/authority/authority-roles.ts"
import { canVouch } from "../../core/authority/cross-certificates.ts"
import type { RotationState } from "../../core/authority/rotation-state.ts"
import { parseCertificate } from "../../core/x509/certificate.ts"
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
    needsRestarts: ({ roots }) =>
      roots.some(({ state, certificate }) => state === "active" && !canVouch(parseCertificate(certificate))),
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
  if (role === undefined) return []
  return [{ ...root, state: role, crossCertificates: isEmergency(state) ? [] : root.crossCertificates }]
}

/** What a stolen root vouches for, or who is vouched for through it, is not to be believed. @see ROT-73 */
function isEmergency(state: RotationState): boolean {
  return "emergency" in state && state.emergency
}
