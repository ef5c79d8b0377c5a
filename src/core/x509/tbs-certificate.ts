import type { Instant } from "../time.ts"
import { TAG } from "./der.ts"
import { DerReader } from "./der-reader.ts"
import { readTime } from "./der-time.ts"
import {
  type Extension,
  type KeyUsage,
  type RawExtension,
  readAuthorityKeyIdentifier,
  readBasicConstraints,
  readExtensions,
  readExtKeyUsage,
  readKeyUsage,
  readSubjectKeyIdentifier,
} from "./extension-reader.ts"
import { type GeneralName, readGeneralNames } from "./general-names.ts"
import { OID } from "./oid.ts"
import { malformed } from "./refusal.ts"
import { decodeSignatureAlgorithm, type SignatureAlgorithm } from "./signature-algorithm.ts"

/** What a TBSCertificate says. Arrays are views of its bytes. */
export interface TbsView {
  /** Lowercase hex without sign octet. */
  readonly serial: string
  /** Name, DER. */
  readonly issuer: Uint8Array
  /** Name, DER. */
  readonly subject: Uint8Array
  readonly notBefore: Instant
  readonly notAfter: Instant
  /** SubjectPublicKeyInfo, DER. Not checked against the key policy. */
  readonly spki: Uint8Array
  /** AlgorithmIdentifier, DER. */
  readonly signatureAlgorithmDer: Uint8Array
  /** `undefined` for one that we do not verify. */
  readonly signatureAlgorithm: SignatureAlgorithm | undefined
  readonly extensions: readonly Extension[]
  /** In the order of the certificate. */
  readonly names: readonly GeneralName[]
  readonly uriNames: readonly string[]
  readonly dnsNames: readonly string[]
  readonly isCa: boolean
  readonly pathLength: number | undefined
  /** `undefined`: no such extension. */
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined
  /** Purposes in dotted form. `undefined`: no such extension. */
  readonly extKeyUsage: readonly string[] | undefined
  /** Subject key identifier. */
  readonly subjectKeyId: Uint8Array | undefined
  readonly authorityKeyId: Uint8Array | undefined
}

/** The SubjectPublicKeyInfo of a TBSCertificate and no more than leads to it, for whoever looks at many. @throws IdentityError `malformed` */
export function spkiOfTbs(bytes: Uint8Array): Uint8Array {
  const tbs = new DerReader(bytes).enterLast(TAG.sequence)
  readVersion(tbs)
  tbs.skip(TAG.integer)
  for (let before = 0; before < BEFORE_SPKI; before++) tbs.skip(TAG.sequence)
  return tbs.element(TAG.sequence)
}

/** Read a version 3 TBSCertificate strictly. @throws IdentityError `malformed` @see DER-01..DER-12 */
export function parseTbs(bytes: Uint8Array): TbsView {
  const tbs = new DerReader(bytes).enterLast(TAG.sequence)
  readVersion(tbs)
  const serial = readSerial(tbs)
  const signatureAlgorithmDer = tbs.element(TAG.sequence)
  const issuer = tbs.element(TAG.sequence)
  const validity = tbs.enter(TAG.sequence)
  const [notBefore, notAfter] = [readTime(validity), readTime(validity)]
  validity.end()
  const subject = tbs.element(TAG.sequence)
  const spki = tbs.element(TAG.sequence)
  const extensions = readExtensionBlock(tbs)
  const signatureAlgorithm = decodeSignatureAlgorithm(signatureAlgorithmDer)
  const names = interpret(extensions, OID.subjectAltName, readGeneralNames) ?? []
  const constraints = interpret(extensions, OID.basicConstraints, readBasicConstraints)
  return {
    serial,
    issuer,
    subject,
    notBefore,
    notAfter,
    spki,
    signatureAlgorithmDer,
    signatureAlgorithm,
    extensions,
    names,
    uriNames: textsOf(names, "uri"),
    dnsNames: textsOf(names, "dns"),
    isCa: constraints?.isCa ?? false,
    pathLength: constraints?.pathLength,
    keyUsage: interpret(extensions, OID.keyUsage, readKeyUsage),
    extKeyUsage: interpret(extensions, OID.extKeyUsage, readExtKeyUsage),
    subjectKeyId: interpret(extensions, OID.subjectKeyIdentifier, readSubjectKeyIdentifier),
    authorityKeyId: interpret(extensions, OID.authorityKeyIdentifier, readAuthorityKeyIdentifier),
  }
}

function readVersion(tbs: DerReader): void {
  if (tbs.tag !== VERSION) throw malformed("certificate-version", "certificate is not of version 3")
  const version = tbs.enter(VERSION)
  if (version.smallInteger() !== V3) throw malformed("certificate-version", "certificate is not of version 3")
  version.end()
}

function readSerial(tbs: DerReader): string {
  const octets = tbs.positiveInteger()
  if (octets.length + ((octets[0] ?? 0) >> 7) > MAX_SERIAL) throw malformed("serial", "serial is longer than 20 octets")
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("hex")
}

/** The unique identifiers that may stand before it are of the nineties; what has them is refused. */
function readExtensionBlock(tbs: DerReader): readonly RawExtension[] {
  if (tbs.done) return []
  const block = tbs.enter(EXTENSIONS)
  tbs.end()
  const extensions = readExtensions(block.enter(TAG.sequence))
  block.end()
  return extensions
}

/** `undefined`: no such extension. */
function interpret<T>(extensions: readonly RawExtension[], oid: string, read: (value: DerReader) => T): T | undefined {
  for (const extension of extensions) if (extension.oid === oid) return read(extension.value)
  return undefined
}

function textsOf(names: readonly GeneralName[], kind: "uri" | "dns"): readonly string[] {
  const texts: string[] = []
  for (const name of names) if (name.kind === kind) texts.push(name.text)
  return texts
}

const VERSION = 0xa0
const EXTENSIONS = 0xa3
const V3 = 2
const MAX_SERIAL = 20
/** Signature algorithm, issuer, validity and subject. */
const BEFORE_SPKI = 4
