import { isWithinPattern } from "../rules/id-pattern.ts"
import type { AdminRole, RoleHolder } from "./decide-admin.ts"
import type { AdminVerb } from "./verb.ts"

/** Whether what needs a second person can be done at all, as far as roles tell: somebody proposes it, and somebody else approves it. */
export interface ApprovalReach {
  readonly verb: AdminVerb
  /**
   * `named`: the roles name two who can. `open`: it depends on how many hold a role, which they do not say. `machine`: at most one
   * of the two is not root or the server's own user.
   */
  readonly kind: "named" | "open" | "machine"
  /** Names of the roles by which it depends on how many hold them. */
  readonly roles: readonly string[]
}

/**
 * @param roles those of the configuration; root and the server's own user may do everything anyway
 * @param isRemote whether identities are known at all: without the remote door nobody is @see ADM-29
 */
export function judgeApproval(
  verbs: readonly AdminVerb[],
  roles: readonly AdminRole[],
  isRemote: boolean,
): readonly ApprovalReach[] {
  const usable = roles.filter(({ who }) => who.kind !== "spiffe" || isRemote)
  return verbs.map((verb) => ({ verb, ...reachOf(verb, usable) }))
}

function reachOf(verb: AdminVerb, roles: readonly AdminRole[]): Pick<ApprovalReach, "kind" | "roles"> {
  const operators = roles.filter(({ who }) => who.kind !== "uid" || who.uid !== 0)
  const proposers = operators.filter(({ who }) => has(who, verb, verb, roles))
  const approvers = proposers.filter(({ who }) => has(who, "approvals", verb, roles))
  const [first] = approvers.filter(({ who }) => isOne(who))
  const others = proposers.filter(({ who }) => first !== undefined && !isSame(who, first.who))
  if (others.some(({ who }) => isOne(who))) return { kind: "named", roles: [] }
  const groups = (first === undefined ? approvers : proposers).filter(({ who }) => !isOne(who))
  return { kind: groups.length > 0 ? "open" : "machine", roles: groups.map(({ name }) => name) }
}

/** By any role that all of these hold. What is about the whole trust domain needs one without prefixes. @see ADM-06 ADM-22 */
function has(holder: RoleHolder, verb: AdminVerb, about: AdminVerb, roles: readonly AdminRole[]): boolean {
  return roles.some(({ who, verbs, prefixes }) => {
    const covers = prefixes === undefined || about !== "rotation"
    return covers && verbs.includes(verb) && isWithin(holder, who)
  })
}

function isWithin(inner: RoleHolder, outer: RoleHolder): boolean {
  if (inner.kind === "spiffe" && outer.kind === "spiffe") return isWithinPattern(inner.pattern, outer.pattern)
  return isSame(inner, outer)
}

function isSame(a: RoleHolder, b: RoleHolder): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** One user of the machine, or one identity. */
function isOne(who: RoleHolder): boolean {
  return who.kind === "uid" || (who.kind === "spiffe" && who.pattern.kind === "exact")
}
