import { IdentityError } from "../../core/errors.ts"
import { demandAudience, demandAudiences } from "../../core/jose/audience.ts"
import { parseSpiffeId, type SpiffeId } from "../../core/spiffe/id.ts"
import type { JWTSVIDRequest, ValidateJWTSVIDRequest } from "../../gen/spiffe/workload.ts"

/** @throws IdentityError `malformed` @see WA-09 */
export function parseJwtSvidRequest(request: JWTSVIDRequest): {
  readonly audience: readonly string[]
  readonly spiffeId: SpiffeId | undefined
} {
  const { audience } = request
  demandAudiences(audience)
  return { audience, spiffeId: request.spiffeId === "" ? undefined : parseSpiffeId(request.spiffeId) }
}

/** @throws IdentityError `malformed` @see WA-09 */
export function parseValidateRequest(request: ValidateJWTSVIDRequest): {
  readonly audience: string
  readonly token: string
} {
  demandAudience(request.audience)
  if (request.svid === "") throw new IdentityError("malformed", "svid must be specified")
  return { audience: request.audience, token: request.svid }
}
