import { type TrustDomain, trustDomainId } from "../spiffe/id.ts"
import type { Instant } from "../time.ts"
import type { CertificateView } from "./certificate.ts"
import { encodeDer, encodeSequence } from "./der.ts"
import { encodeTime } from "./der-time.ts"
import {
  encodeAuthorityConstraints,
  encodeAuthorityKeyIdentifier,
  encodeAuthorityKeyUsage,
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

/** What a certificate of one root by another is to say. Name, key and issuer are those of the two. */
export interface CrossRequest {
  readonly serial: Serial
  readonly trustDomain: TrustDomain
  readonly notBefore: Instant
  readonly notAfter: Instant
}

/** TBSCertificate of a root: self-signed, without a bound, so that it can vouch for the next one. @see X5-11..X5-14 PRF-02 */
export function encodeRootTbs(request: AuthorityRequest): Uint8Array {
  const name = encodeName(request.subject)
  return encodeTbs({ ...request, name }, { name, publicKey: request.publicKey, pathLength: undefined })
}

/** TBSCertificate by which `issuer`, an earlier root, vouches for `root`. @see PRF-11 */
export function encodeCrossTbs(request: CrossRequest, root: CertificateView, issuer: CertificateView): Uint8Array {
  const publicKey = parsePublicKey(issuer.spki)
  const subject = { ...request, name: root.subject, publicKey: parsePublicKey(root.spki) }
  return encodeTbs(subject, { name: issuer.subject, publicKey, pathLength: undefined })
}

/** TBSCertificate of an issuing authority: leaves only below it. @see X5-11..X5-14 PRF-02 */
export function encodeIssuingTbs(request: AuthorityRequest, root: CertificateView): Uint8Array {
  const publicKey = parsePublicKey(root.spki)
  const subject = { ...request, name: encodeName(request.subject) }
  return encodeTbs(subject, { name: root.subject, publicKey, pathLength: ISSUING_PATH_LENGTH })
}

interface Subject extends Omit<AuthorityRequest, "subject"> {
  /** Name, DER. */
  readonly name: Uint8Array
}

interface Issuer {
  /** Name, DER. */
  readonly name: Uint8Array
  readonly publicKey: SubjectPublicKey
  /** Of what it issues. */
  readonly pathLength: number | undefined
}

function encodeTbs(subject: Subject, issuer: Issuer): Uint8Array {
  const id = { kind: "uri", text: trustDomainId(subject.trustDomain) } as const
  const extensions = encodeSequence(
    encodeAuthorityKeyUsage(),
    encodeAuthorityConstraints(issuer.pathLength),
    encodeSubjectKeyIdentifier(subject.publicKey.keyId),
    encodeAuthorityKeyIdentifier(issuer.publicKey.keyId),
    encodeSubjectAltName([id], false),
  )
  return encodeSequence(
    VERSION_3,
    encodeSerial(subject.serial),
    encodeSignatureAlgorithm(signatureAlgorithmFor(issuer.publicKey.algorithm)),
    issuer.name,
    encodeSequence(encodeTime(subject.notBefore), encodeTime(subject.notAfter)),
    subject.name,
    subject.publicKey.spki,
    encodeDer(EXTENSIONS, extensions),
  )
}

export const ISSUING_PATH_LENGTH = 0
const EXTENSIONS = 0xa3
