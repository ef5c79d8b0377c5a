import { IdentityError } from "../../core/errors.ts"
import { parseSpiffeId, type SpiffeId } from "../../core/spiffe/id.ts"
import type { JWTSVIDRequest, ValidateJWTSVIDRequest } from "../../gen/spiffe/workload.ts"

/** @throws IdentityError `malformed` @see WA-09 */
export function parseJwtSvidRequest(request: JWTSVIDRequest): {
  readonly audience: readonly string[]
  readonly spiffeId: SpiffeId | undefined
} {
  const { audience } = request
  if (audience.length === 0) throw malformed("audience must be specified")
  if (audience.length > MAX_AUDIENCES) throw malformed(`more than ${MAX_AUDIENCES} audiences`)
  for (const entry of audience) requireAudience(entry)
  return { audience, spiffeId: request.spiffeId === "" ? undefined : parseSpiffeId(request.spiffeId) }
}

/** @throws IdentityError `malformed` @see WA-09 */
export function parseValidateRequest(request: ValidateJWTSVIDRequest): {
  readonly audience: string
  readonly token: string
} {
  requireAudience(request.audience)
  if (request.svid === "") throw malformed("svid must be specified")
  return { audience: request.audience, token: request.svid }
}

function requireAudience(text: string): void {
  if (text === "") throw malformed("audience must be specified")
  if (text.length > MAX_AUDIENCE) throw malformed(`audience is longer than ${MAX_AUDIENCE} characters`)
}

function malformed(message: string): IdentityError {
  return new IdentityError("malformed", message)
}

/** As many and as long as a token's `aud` may be. */
const MAX_AUDIENCES = 16
const MAX_AUDIENCE = 1024
