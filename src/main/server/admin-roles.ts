import { type AdminRole, ownerRoles, type RoleHolder } from "../../core/admin/decide-admin.ts"
import { ADMIN_VERBS } from "../../core/admin/verb.ts"
import { parseIdPattern } from "../../core/rules/id-pattern.ts"
import type { TrustDomain } from "../../core/spiffe/id.ts"
import type { ServerConfig } from "../config/server-config.ts"

/** The roles that are in force, those of the machine's owner among them. Parsed once for each configuration. */
export function makeAdminRoles(config: () => ServerConfig, uid: number): () => readonly AdminRole[] {
  const parsed = new WeakMap<ServerConfig, readonly AdminRole[]>()
  const owners = ownerRoles(uid, ADMIN_VERBS)
  return () => {
    const current = config()
    const known = parsed.get(current)
    if (known !== undefined) return known
    const roles = [...owners, ...configuredRoles(current)]
    parsed.set(current, roles)
    return roles
  }
}

/** Those of a configuration alone. */
export function configuredRoles({
  admin,
  trustDomain,
}: Pick<ServerConfig, "admin" | "trustDomain">): readonly AdminRole[] {
  return admin.roles.map((role) => parseRole(role, trustDomain))
}

type RoleConfig = ServerConfig["admin"]["roles"][number]

function parseRole({ name, who, verbs, prefixes }: RoleConfig, own: TrustDomain): AdminRole {
  return { name, who: holderOf(who, own), verbs, prefixes: prefixes?.map((prefix) => parseIdPattern(prefix, own)) }
}

/** The configuration was checked: one of them is there. */
function holderOf({ uid, gid, spiffeId }: RoleConfig["who"], own: TrustDomain): RoleHolder {
  if (uid !== undefined) return { kind: "uid", uid }
  if (gid !== undefined) return { kind: "gid", gid }
  if (spiffeId !== undefined) return { kind: "spiffe", pattern: parseIdPattern(spiffeId, own) }
  throw new TypeError("a role without holder")
}
