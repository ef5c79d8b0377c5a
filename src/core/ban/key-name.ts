import { hash } from "node:crypto"
import { IdentityError } from "../errors.ts"
import { spkiOfTbs } from "../x509/tbs-certificate.ts"

/** How bans name a key. @param spki SubjectPublicKeyInfo, DER */
export function keyNameOf(spki: Uint8Array): string {
  return hash("sha256", spki)
}

/** The name of the key that a certificate is for; empty for what is no certificate. @param tbs TBSCertificate, DER */
export function certifiedKeyName(tbs: Uint8Array): string {
  try {
    return keyNameOf(spkiOfTbs(tbs))
  } catch (thrown) {
    if (thrown instanceof IdentityError) return ""
    throw thrown
  }
}
