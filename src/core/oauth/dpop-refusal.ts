import { IdentityError } from "../errors.ts"

/** Why a DPoP proof was not accepted. Stable. The token endpoint answers `invalid_dpop_proof`, for a nonce `use_dpop_nonce`. */
export type DpopReason = keyof typeof REFUSALS

/** @see DP-01 DP-02 */
export function dpopRefusal(reason: DpopReason, cause?: unknown): IdentityError {
  return new IdentityError("malformed", REFUSALS[reason], { reason, cause })
}

/** How the error of a DPoP proof is said in OAuth; `undefined` for every other error. */
export function dpopErrorOf({ reason }: IdentityError): "invalid_dpop_proof" | "use_dpop_nonce" | undefined {
  if (reason === undefined || !Object.hasOwn(REFUSALS, reason)) return undefined
  return reason === "dpop-nonce-required" ? "use_dpop_nonce" : "invalid_dpop_proof"
}

const REFUSALS = {
  "dpop-header-repeated": "the request has more than one DPoP header",
  "dpop-malformed": "the DPoP proof is not a JSON web token that is accepted here",
  "dpop-key-refused": "the key of the DPoP proof is not a public key that is accepted here",
  "dpop-signature-invalid": "the key of the DPoP proof does not verify it",
  "dpop-method-mismatch": "the DPoP proof is for another method",
  "dpop-url-mismatch": "the DPoP proof is for another URL; compare htu with the endpoint that the metadata names",
  "dpop-out-of-window": "the DPoP proof was made too long ago or is from the future; make a new one for each request",
  "dpop-token-mismatch": "the DPoP proof is not for the access token that came with it",
  "dpop-nonce-required": "the DPoP proof needs a nonce of this server that is in date",
  "dpop-replayed": "the DPoP proof was used before; make a new one for each request",
} as const satisfies Readonly<Record<string, string>>
