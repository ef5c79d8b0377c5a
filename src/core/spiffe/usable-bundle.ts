import { createPublicKey, X509Certificate } from "node:crypto"
import { IdentityError } from "../errors.ts"
import type { TrustBundle } from "./bundle.ts"

/**
 * Refuse a bundle with a certificate or key that TLS libraries cannot read. Our own reader passes over what it does not need; a
 * proxy that cannot read one of them refuses all that comes in the same message, its own trust domain's roots among it.
 * @throws IdentityError `malformed`, reason `bundle-certificate` or `bundle-key` @see TD-26
 */
export function demandUsable({ x509Authorities, jwtAuthorities }: TrustBundle): void {
  for (const der of x509Authorities) {
    if (!canBeRead(() => new X509Certificate(der).publicKey)) {
      throw refused("bundle-certificate", "bundle has a certificate that cannot be used")
    }
  }
  for (const { jwk, kid } of jwtAuthorities) {
    if (!canBeRead(() => createPublicKey({ key: { ...jwk }, format: "jwk" }))) {
      throw refused("bundle-key", `bundle has a JWT key that cannot be used, kid ${JSON.stringify(kid)}`)
    }
  }
}

function canBeRead(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch {
    return false
  }
}

function refused(reason: "bundle-certificate" | "bundle-key", message: string): IdentityError {
  return new IdentityError("malformed", message, { reason })
}
