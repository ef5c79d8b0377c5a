import type { SpiffeId } from "../spiffe/id.ts"
import type { Instant } from "../time.ts"
import type { CertificateView } from "./certificate.ts"
import { encodeDer, encodeSequence, TAG } from "./der.ts"
import { putTime } from "./der-time.ts"
import { DerWriter } from "./der-writer.ts"
import {
  CRITICAL_SUBJECT_ALT_NAME,
  encodeAuthorityKeyIdentifier,
  encodeExtKeyUsage,
  encodeLeafConstraints,
  encodeLeafKeyUsage,
  SUBJECT_KEY_IDENTIFIER,
} from "./extensions.ts"
import { generalNamesCapacity, putGeneralNames, type WritableName } from "./general-names.ts"
import { parsePublicKey, type SubjectPublicKey } from "./public-key.ts"
import { encodeSerial, type Serial } from "./serial.ts"
import { encodeSignatureAlgorithm, type SignatureAlgorithm, signatureAlgorithmFor } from "./signature-algorithm.ts"

/** What differs from leaf to leaf. */
export interface LeafRequest {
  readonly serial: Serial
  readonly spiffeId: SpiffeId
  readonly dnsNames: readonly string[]
  /** 4 or 16 octets each; for servers that are dialled by address. */
  readonly ipAddresses?: readonly Uint8Array[]
  readonly publicKey: SubjectPublicKey
  readonly notBefore: Instant
  readonly notAfter: Instant
}

/** Everything about a leaf that its issuing authority settles, encoded once. */
export interface LeafTemplate {
  readonly issuer: CertificateView
  /** Hex of the issuer's subject key identifier. */
  readonly authorityId: string
  readonly signatureAlgorithm: SignatureAlgorithm
  /** TBSCertificate. Checks nothing: {@link IssuancePermit} lints the bytes. */
  encodeTbs(request: LeafRequest): Uint8Array
}

/**
 * Prepare the leaves of one issuing authority. @throws TypeError when the certificate is not that of an authority with a
 * key identifier @see X5-01..X5-12
 */
export function prepareLeafTemplate({ issuer }: { readonly issuer: CertificateView }): LeafTemplate {
  const keyId = issuer.subjectKeyId
  if (!issuer.isCa || keyId === undefined) throw new TypeError("issuer is no authority with a key identifier")
  const signatureAlgorithm = signatureAlgorithmFor(parsePublicKey(issuer.spki).algorithm)
  const algorithm = encodeSignatureAlgorithm(signatureAlgorithm)
  const constant = Buffer.concat([encodeLeafKeyUsage(), encodeExtKeyUsage(), encodeLeafConstraints()])
  const authority = encodeAuthorityKeyIdentifier(keyId)
  const issuerAndAlgorithm = Buffer.concat([algorithm, issuer.subject])
  const fixed = issuerAndAlgorithm.length + constant.length + authority.length + OTHER_OCTETS
  return {
    issuer,
    authorityId: Buffer.from(keyId).toString("hex"),
    signatureAlgorithm,
    encodeTbs: (request) => {
      const names = leafNames(request)
      const der = new DerWriter(fixed + request.publicKey.spki.length + generalNamesCapacity(names))
      const end = der.end
      putSubjectAltName(der, names)
      der.put(authority)
      putSubjectKeyIdentifier(der, request.publicKey.keyId)
      der.put(constant)
      der.wrap(TAG.sequence, end)
      der.wrap(EXTENSIONS, end)
      der.put(request.publicKey.spki)
      der.put(EMPTY_NAME)
      const validity = der.end
      putTime(der, request.notAfter)
      putTime(der, request.notBefore)
      der.wrap(TAG.sequence, validity)
      der.put(issuerAndAlgorithm)
      der.put(encodeSerial(request.serial))
      der.put(VERSION_3)
      der.wrap(TAG.sequence, end)
      return der.finish()
    },
  }
}

/**
 * The alternative names of a leaf, in the order that is part of the contract: the SPIFFE ID first, since peers take the
 * first URI, then DNS names, then addresses. @see PRF-01 PIT-10
 */
export function leafNames(request: LeafRequest): readonly WritableName[] {
  const names: WritableName[] = [{ kind: "uri", text: request.spiffeId }]
  for (const text of request.dnsNames) names.push({ kind: "dns", text })
  for (const octets of request.ipAddresses ?? []) names.push({ kind: "ip", octets })
  return names
}

function putSubjectAltName(der: DerWriter, names: readonly WritableName[]): void {
  const end = der.end
  putGeneralNames(der, names)
  der.wrap(TAG.octetString, end)
  der.put(CRITICAL_SUBJECT_ALT_NAME)
  der.wrap(TAG.sequence, end)
}

function putSubjectKeyIdentifier(der: DerWriter, keyId: Uint8Array): void {
  const end = der.end
  der.put(keyId)
  der.wrap(TAG.octetString, end)
  der.wrap(TAG.octetString, end)
  der.put(SUBJECT_KEY_IDENTIFIER)
  der.wrap(TAG.sequence, end)
}

export const VERSION_3 = encodeDer(0xa0, encodeDer(TAG.integer, Uint8Array.of(2)))
const EMPTY_NAME = encodeSequence()
const EXTENSIONS = 0xa3
/** More than version, serial, validity, subject, key identifier and all headers take together. */
const OTHER_OCTETS = 256
