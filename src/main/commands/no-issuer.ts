import { IdentityError } from "../../core/errors.ts"

/** What a command about relying parties says where nobody knows whose tokens these are. */
export function noIssuer(): IdentityError {
  return new IdentityError("not-found", "the configuration names no oauth.issuer", { reason: "no-issuer" })
}
