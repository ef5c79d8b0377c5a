import { parseBundle } from "../../core/spiffe/bundle-document.ts"
import type { TrustDomain } from "../../core/spiffe/id.ts"
import { parsePemCertificates } from "./pem.ts"

/**
 * X.509 authorities, DER, of a bundle in either form: a SPIFFE bundle document, which is one JSON object, or PEM
 * certificates. @throws IdentityError `malformed`
 */
export function parseBundleText(text: string, trustDomain: TrustDomain): readonly Uint8Array[] {
  if (text.trimStart().startsWith("{")) return parseBundle(text, trustDomain).x509Authorities
  return parsePemCertificates(text)
}
