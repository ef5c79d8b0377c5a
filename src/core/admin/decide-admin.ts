import { type IdPattern, isWithinPattern, matchesPattern } from "../rules/id-pattern.ts"
import type { AdminCaller } from "./caller.ts"
import type { AdminVerb } from "./verb.ts"

/** A right of operators, from the configuration. */
export interface AdminRole {
  readonly name: string
  readonly who: RoleHolder
  readonly verbs: readonly AdminVerb[]
  /** The identities that it is about; `undefined`: all, and what concerns the whole trust domain. */
  readonly prefixes: readonly IdPattern[] | undefined
}

export type RoleHolder =
  | { readonly kind: "uid"; readonly uid: number }
  | { readonly kind: "gid"; readonly gid: number }
  | { readonly kind: "spiffe"; readonly pattern: IdPattern }

/** Which identities an operation is about. */
export type AdminScope =
  /** No identity is named or changed. */
  | { readonly kind: "none" }
  | { readonly kind: "trust-domain" }
  | { readonly kind: "ids"; readonly patterns: readonly IdPattern[] }

export type AdminDecision =
  | { readonly kind: "permit"; readonly role: string }
  | { readonly kind: "refuse"; readonly reason: "no-role" | "verb-not-granted" | "outside-prefixes" }

/** Whether a caller may do this. Without a role that says so, nobody may do anything. @see ADM-05 ADM-06 */
export function decideAdmin(
  caller: AdminCaller,
  verb: AdminVerb,
  scope: AdminScope,
  roles: readonly AdminRole[],
): AdminDecision {
  const held = roles.filter(({ who }) => holds(caller, who))
  const granting = held.filter(({ verbs }) => verbs.includes(verb))
  const covering = granting.find((role) => covers(role, scope))
  if (covering !== undefined) return { kind: "permit", role: covering.name }
  if (granting.length > 0) return { kind: "refuse", reason: "outside-prefixes" }
  return { kind: "refuse", reason: held.length > 0 ? "verb-not-granted" : "no-role" }
}

/** Root, and whoever the server runs as, can read its keys anyway: they may do everything on the local socket. */
export function ownerRoles(uid: number, verbs: readonly AdminVerb[]): readonly AdminRole[] {
  return [...new Set([0, uid])].map((owner) => ({
    name: owner === 0 ? "root" : "owner",
    who: { kind: "uid", uid: owner },
    verbs,
    prefixes: undefined,
  }))
}

function holds(caller: AdminCaller, who: RoleHolder): boolean {
  if (caller.kind === "spiffe") return who.kind === "spiffe" && matchesPattern(who.pattern, caller.id)
  return (who.kind === "uid" && who.uid === caller.uid) || (who.kind === "gid" && who.gid === caller.gid)
}

function covers({ prefixes }: AdminRole, scope: AdminScope): boolean {
  if (scope.kind === "none" || prefixes === undefined) return true
  if (scope.kind === "trust-domain" || scope.patterns.length === 0) return false
  return scope.patterns.every((wanted) => prefixes.some((prefix) => isWithinPattern(wanted, prefix)))
}
