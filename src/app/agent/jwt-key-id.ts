import { decodeBase64url, parseClaimsObject } from "../../core/jose/compact.ts"

/** The `kid` that a JWT-SVID names, or `undefined` when it names none that can be read. Nothing is verified here. */
export function signingKeyOf(token: string): string | undefined {
  try {
    const kid = parseClaimsObject(decodeBase64url(token.slice(0, token.indexOf("."))))["kid"]
    return typeof kid === "string" ? kid : undefined
  } catch {
    return undefined
  }
}
