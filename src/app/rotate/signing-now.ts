import { IdentityError } from "../../core/errors.ts"
import type { AuthorityRecord } from "../../ports/authority-journal.ts"
import type { RotatedAuthority } from "./rotated-authority.ts"

/** The name of the authority that signs. @throws IdentityError `not-ready` when none does */
export function signingNow(authority: Pick<RotatedAuthority, "signing">, record: AuthorityRecord): string {
  const signing = authority.signing(record)
  if (signing === undefined) throw new IdentityError("not-ready", "no authority of this kind is active")
  return signing
}
