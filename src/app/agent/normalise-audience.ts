import { demandAudiences } from "../../core/jose/audience.ts"

/** The audiences as a set, sorted. @throws IdentityError `malformed` when there is none, or more than the server takes @see AGT-20 */
export function normaliseAudience(audience: readonly string[]): readonly string[] {
  const set = [...new Set(audience)].sort()
  demandAudiences(set)
  return set
}
