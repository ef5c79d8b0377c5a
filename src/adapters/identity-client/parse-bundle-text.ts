import type { TrustDomain } from "../../core/spiffe/id.ts"
import { parsePemCertificates } from "./pem.ts"

/** X.509 authorities, DER, of a bundle: PEM certificates. @throws IdentityError `malformed` */
export function parseBundleText(text: string, _trustDomain: TrustDomain): readonly Uint8Array[] {
  return parsePemCertificates(text)
}
