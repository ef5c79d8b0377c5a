import { IdentityError } from "../errors.ts"

/** Why an intent is not recorded: what is to sign it was taken out in an emergency that its writer had not heard of. @see ROT-76 */
export function authorityReplaced(): IdentityError {
  return new IdentityError("conflict", "what is to sign it was replaced in an emergency", { reason: REPLACED })
}

export function isAuthorityReplaced(thrown: unknown): boolean {
  return thrown instanceof IdentityError && thrown.code === "conflict" && thrown.reason === REPLACED
}

const REPLACED = "authority-replaced"
