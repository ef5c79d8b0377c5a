import { type TrustDomain, trustDomainId } from "../spiffe/id.ts"
import type { Instant } from "../time.ts"
import type { CertificateView } from "./certificate.ts"
import { encodeDer, encodeSequence } from "./der.ts"
import { encodeTime } from "./der-time.ts"
import {
  encodeAuthorityKeyIdentifier,
  encodeAuthorityKeyUsage,
  encodeBasicConstraints,
  encodeSubjectAltName,
  encodeSubjectKeyIdentifier,
} from "./extensions.ts"
import { VERSION_3 } from "./leaf-template.ts"
import { type AuthorityName, encodeName } from "./names.ts"
import { parsePublicKey, type SubjectPublicKey } from "./public-key.ts"
import { encodeSerial, type Serial } from "./serial.ts"
import { encodeSignatureAlgorithm, signatureAlgorithmFor } from "./signature-algorithm.ts"

/** What a certificate of an authority is to say. */
export interface AuthorityRequest {
  readonly serial: Serial
  readonly trustDomain: TrustDomain
  readonly subject: AuthorityName
  readonly publicKey: SubjectPublicKey
  readonly notBefore: Instant
  readonly notAfter: Instant
}

/** TBSCertificate of a root: self-signed, with one level of authorities below it. @see X5-11..X5-14 PRF-02 */
export function encodeRootTbs(request: AuthorityRequest): Uint8Array {
  const name = encodeName(request.subject)
  return encodeTbs(request, { name, publicKey: request.publicKey, pathLength: ROOT_PATH_LENGTH })
}

/** TBSCertificate of an issuing authority: leaves only below it. @see X5-11..X5-14 PRF-02 */
export function encodeIssuingTbs(request: AuthorityRequest, root: CertificateView): Uint8Array {
  const publicKey = parsePublicKey(root.spki)
  return encodeTbs(request, { name: root.subject, publicKey, pathLength: ISSUING_PATH_LENGTH })
}

interface Issuer {
  /** Name, DER. */
  readonly name: Uint8Array
  readonly publicKey: SubjectPublicKey
  readonly pathLength: number
}

function encodeTbs(request: AuthorityRequest, issuer: Issuer): Uint8Array {
  const id = { kind: "uri", text: trustDomainId(request.trustDomain) } as const
  const extensions = encodeSequence(
    encodeAuthorityKeyUsage(),
    encodeBasicConstraints(issuer.pathLength),
    encodeSubjectKeyIdentifier(request.publicKey.keyId),
    encodeAuthorityKeyIdentifier(issuer.publicKey.keyId),
    encodeSubjectAltName([id], false),
  )
  return encodeSequence(
    VERSION_3,
    encodeSerial(request.serial),
    encodeSignatureAlgorithm(signatureAlgorithmFor(issuer.publicKey.algorithm)),
    issuer.name,
    encodeSequence(encodeTime(request.notBefore), encodeTime(request.notAfter)),
    encodeName(request.subject),
    request.publicKey.spki,
    encodeDer(EXTENSIONS, extensions),
  )
}

export const ROOT_PATH_LENGTH = 1
export const ISSUING_PATH_LENGTH = 0
const EXTENSIONS = 0xa3
