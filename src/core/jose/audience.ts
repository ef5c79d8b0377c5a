import { IdentityError } from "../errors.ts"

/** As many as a request may name, or a token. */
export const MAX_AUDIENCES = 16

/** One audience, wherever it stands: 1 to 1024 bytes of UTF-8. @see JW-16 */
export function isAudience(text: string): boolean {
  return text !== "" && Buffer.byteLength(text) <= MAX_AUDIENCE
}

/** The audiences of a request for a token: 1 to 16. @throws IdentityError `malformed` @see JW-16 */
export function demandAudiences(list: readonly string[]): void {
  if (list.length === 0) throw malformed("audience is missing or empty")
  if (list.length > MAX_AUDIENCES) throw malformed(`more than ${MAX_AUDIENCES} audiences`)
  for (const one of list) demandAudience(one)
}

/** @throws IdentityError `malformed` */
export function demandAudience(text: string): void {
  if (text === "") throw malformed("audience is missing or empty")
  if (!isAudience(text)) throw malformed(`an audience is longer than ${MAX_AUDIENCE} bytes`)
}

function malformed(message: string): IdentityError {
  return new IdentityError("malformed", message)
}

const MAX_AUDIENCE = 1024
