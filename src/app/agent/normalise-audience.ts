import { IdentityError } from "../../core/errors.ts"

/** The audiences as a set, sorted. @throws IdentityError `malformed` when there is none, or more than the server takes @see AGT-20 */
export function normaliseAudience(audience: readonly string[]): readonly string[] {
  const set = [...new Set(audience)].sort()
  if (set.length === 0 || set.includes("")) throw new IdentityError("malformed", "audience is missing or empty")
  if (set.length > MAX_AUDIENCES) throw new IdentityError("malformed", `more than ${MAX_AUDIENCES} audiences`)
  if (set.some((one) => Buffer.byteLength(one) > MAX_AUDIENCE)) {
    throw new IdentityError("malformed", `an audience is longer than ${MAX_AUDIENCE} bytes`)
  }
  return set
}

const MAX_AUDIENCES = 16
const MAX_AUDIENCE = 1024
