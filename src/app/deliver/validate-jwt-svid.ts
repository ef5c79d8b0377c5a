import { IdentityError } from "../../core/errors.ts"
import { checkJwtSvidTerms, type ParsedJwtSvid, parseJwtSvid } from "../../core/jose/jwt-svid.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import { trustDomainOf } from "../../core/spiffe/id.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import type { JwsVerifier } from "../../ports/jws.ts"

export interface ValidateJwtSvidDeps {
  readonly verifier: JwsVerifier
  readonly now: () => Instant
  /** How far issuers' clocks may be off. */
  readonly skew: Seconds
}

/** A JWT-SVID that passed every check. @throws IdentityError `malformed` for each token that does not */
export type ValidateJwtSvid = (
  token: string,
  audience: string,
  bundles: readonly TrustBundle[],
) => Promise<ParsedJwtSvid>

/** Full validation with the bundle of the trust domain in `sub`, and no other. @see WA-14 JW-14 JOS-13 */
export function makeValidateJwtSvid(deps: ValidateJwtSvidDeps): ValidateJwtSvid {
  return async (token, audience, bundles) => {
    const parsed = parseJwtSvid(token)
    const trustDomain = trustDomainOf(parsed.spiffeId)
    const bundle = bundles.find((candidate) => candidate.trustDomain === trustDomain)
    if (bundle === undefined) throw new IdentityError("malformed", "no bundle for the trust domain of the token")
    await verifySignature(parsed, bundle, deps.verifier)
    checkJwtSvidTerms(parsed, { audience, now: deps.now(), skew: deps.skew })
    return parsed
  }
}

/** One message whether the key is unknown or the signature is wrong. */
async function verifySignature(token: ParsedJwtSvid, bundle: TrustBundle, verifier: JwsVerifier): Promise<void> {
  try {
    await verifier.verify(token.jws, bundle.jwtAuthorities)
  } catch (cause) {
    if (!(cause instanceof IdentityError) || cause.code !== "unauthenticated") throw cause
    throw new IdentityError("malformed", "no key of the trust domain verifies the token", { cause })
  }
}
