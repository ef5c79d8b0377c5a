import type { JsonObject } from "../../core/json.ts"
import { requestRefusal } from "../../core/oauth/request-refusal.ts"

/**
 * Demand that a token of others is good for whoever brings it, and used by nobody for its subject: how they bind tokens, and who
 * acts in them, is not known here, so what is made from it would lose both. @throws IdentityError `unauthenticated` @see TX-21 EXT-04
 */
export function requirePlainBearer(claims: JsonObject): void {
  if (claims["cnf"] !== undefined) throw requestRefusal("proof-of-possession-missing")
  if (claims["act"] !== undefined) throw requestRefusal("token-delegated")
}
