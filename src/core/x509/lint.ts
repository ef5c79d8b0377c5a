import { equalBytes } from "../bytes.ts"
import { type TrustDomain, trustDomainId, trustDomainOf } from "../spiffe/id.ts"
import { type AuthorityRequest, type CrossRequest, ISSUING_PATH_LENGTH } from "./authority-template.ts"
import type { CertificateView } from "./certificate.ts"
import { isDnsName } from "./dns-name.ts"
import type { Extension, KeyUsage } from "./extension-reader.ts"
import type { GeneralName } from "./general-names.ts"
import { type LeafRequest, type LeafTemplate, leafNames } from "./leaf-template.ts"
import { encodeName } from "./names.ts"
import { OID } from "./oid.ts"
import { parsePublicKey, type SubjectPublicKey } from "./public-key.ts"
import { type SignatureAlgorithm, signatureAlgorithmFor } from "./signature-algorithm.ts"
import { parseTbs, type TbsView } from "./tbs-certificate.ts"

/** Bytes of ours broke the profile: a bug, and a reason to stop the authority. */
export class ProfileViolation extends Error {
  override readonly name = "ProfileViolation"
  /** Id of the rule in spec/20-x509-profiles.md. */
  readonly rule: string

  constructor(rule: string, message: string) {
    super(`${message} [${rule}]`)
    this.rule = rule
  }
}

/**
 * Re-read the bytes of a leaf and check them against the profile and against what was authorised.
 * @throws ProfileViolation @see INV-02 INV-05 X5-01..X5-10 PRF-01
 */
export function lintLeafTbs(tbs: Uint8Array, request: LeafRequest, template: LeafTemplate): void {
  const view = parseTbs(tbs)
  const { issuer } = template
  const domainId = trustDomainId(trustDomainOf(request.spiffeId))
  lintCommon(view, request, { view: issuer, keyId: issuer.subjectKeyId, algorithm: template.signatureAlgorithm })
  check(view.subject.length === 2, "X5-04", "subject is not empty")
  check(!view.isCa, "X5-06", "leaf is an authority")
  checkKeyUsage(view, LEAF_KEY_USAGE, "X5-07")
  check(equalLists(view.extKeyUsage ?? [], LEAF_PURPOSES), "X5-10", "extended key usage is not server and client")
  checkExtensions(view, LEAF_EXTENSIONS)
  check(domainId !== request.spiffeId, "X5-05", "SPIFFE ID has no path")
  check(issuer.uriNames[0] === domainId, "X5-14", "issuer is of another domain")
  checkNames(view.names, leafNames(request))
  check(request.dnsNames.every(isDnsName), "X5-03", "DNS name is not well formed")
  check(
    request.dnsNames.length < 2 || new Set(request.dnsNames).size === request.dnsNames.length,
    "X5-03",
    "DNS name stands twice",
  )
}

/** Re-read the bytes of a root. @throws ProfileViolation @see INV-02 X5-11..X5-14 PRF-02 */
export function lintRootTbs(tbs: Uint8Array, request: AuthorityRequest): void {
  const view = parseTbs(tbs)
  check(equal(view.issuer, view.subject), "PRF-02", "root is not its own issuer")
  lintAuthority(view, { ...request, name: encodeName(request.subject) }, undefined)
  lintCommon(view, request, issuerOf(view, request.publicKey))
}

/** Re-read the bytes of an issuing authority. @throws ProfileViolation @see INV-02 INV-05 X5-11..X5-14 PRF-02 */
export function lintIssuingTbs(tbs: Uint8Array, request: AuthorityRequest, root: CertificateView): void {
  const view = parseTbs(tbs)
  check(!equal(view.issuer, view.subject), "RINV-09", "issuing authority has the name of its root")
  check(isAuthorityOf(root, request.trustDomain), "X5-14", "root is no authority of this trust domain")
  lintAuthority(view, { ...request, name: encodeName(request.subject) }, ISSUING_PATH_LENGTH)
  lintCommon(view, request, issuerOf(root, parsePublicKey(root.spki)))
}

/** Re-read the bytes by which `issuer` vouches for `root`. @throws ProfileViolation @see INV-02 INV-05 PRF-11 */
export function lintCrossTbs(
  tbs: Uint8Array,
  request: CrossRequest,
  root: CertificateView,
  issuer: CertificateView,
): void {
  const view = parseTbs(tbs)
  check(!equal(view.issuer, view.subject), "RINV-09", "both roots have one name")
  for (const one of [root, issuer]) {
    check(isAuthorityOf(one, request.trustDomain), "X5-14", "root is no authority of this trust domain")
    check(equal(one.subject, one.issuer), "PRF-02", "root is not its own issuer")
    check(one.pathLength === undefined, "X5-13", "root bounds the path")
  }
  check(equal(view.subjectKeyId, root.subjectKeyId), "PRF-11", "subject key identifier is not that of the root")
  check(view.notBefore >= root.notBefore, "PRF-11", "validity begins before that of the root")
  check(view.notAfter <= root.notAfter, "PRF-11", "validity ends after that of the root")
  lintAuthority(view, { ...request, name: root.subject }, undefined)
  const publicKey = parsePublicKey(root.spki)
  lintCommon(view, { ...request, publicKey }, issuerOf(issuer, parsePublicKey(issuer.spki)))
}

interface Issuer {
  readonly view: Pick<TbsView, "subject" | "notBefore" | "notAfter">
  readonly keyId: Uint8Array | undefined
  readonly algorithm: SignatureAlgorithm
}

interface Authorised {
  readonly serial: string
  readonly publicKey: SubjectPublicKey
  readonly notBefore: number
  readonly notAfter: number
}

function issuerOf(view: Issuer["view"], publicKey: SubjectPublicKey): Issuer {
  return { view, keyId: publicKey.keyId, algorithm: signatureAlgorithmFor(publicKey.algorithm) }
}

/** What holds for every certificate of ours. */
function lintCommon(view: TbsView, request: Authorised, issuer: Issuer): void {
  check(view.serial === request.serial && request.serial.length === SERIAL_DIGITS, "INV-04", "serial is another one")
  check(view.signatureAlgorithm === issuer.algorithm, "INV-02", "signature algorithm is not that of the issuer")
  check(equal(view.issuer, issuer.view.subject), "INV-02", "issuer name is not that of the issuer")
  check(equal(view.spki, request.publicKey.spki), "INV-02", "public key is another one")
  check(equal(view.subjectKeyId, request.publicKey.keyId), "PRF-04", "subject key identifier is another one")
  check(equal(view.authorityKeyId, issuer.keyId), "PRF-04", "authority key identifier is another one")
  check(view.notBefore === request.notBefore && view.notAfter === request.notAfter, "INV-05", "validity is another one")
  check(view.notBefore < view.notAfter, "INV-05", "validity is empty")
  check(view.notBefore >= issuer.view.notBefore, "INV-05", "validity begins before that of the issuer")
  check(view.notAfter <= issuer.view.notAfter, "INV-05", "validity ends after that of the issuer")
}

interface AuthorityFacts {
  /** DER. */
  readonly name: Uint8Array
  readonly trustDomain: TrustDomain
}

function lintAuthority(view: TbsView, wanted: AuthorityFacts, pathLength: number | undefined): void {
  check(equal(view.subject, wanted.name), "RINV-09", "subject is another one")
  check(view.isCa, "X5-11", "authority is a leaf")
  check(view.pathLength === pathLength, "PRF-02", "path length is another one")
  checkKeyUsage(view, AUTHORITY_KEY_USAGE, "X5-12")
  checkExtensions(view, AUTHORITY_EXTENSIONS)
  checkNames(view.names, [{ kind: "uri", text: trustDomainId(wanted.trustDomain) }])
}

function isAuthorityOf(view: TbsView, trustDomain: TrustDomain): boolean {
  return view.isCa && view.uriNames.length === 1 && view.uriNames[0] === trustDomainId(trustDomain)
}

function checkKeyUsage(view: TbsView, wanted: readonly KeyUsage[], rule: string): void {
  const found = view.keyUsage
  const same = found?.size === wanted.length && wanted.every((usage) => found.has(usage))
  check(same, rule, "key usage is another one")
}

/** Exactly these extensions, in this order, with these marks. */
function checkExtensions({ extensions }: TbsView, wanted: readonly Extension[]): void {
  const same =
    extensions.length === wanted.length &&
    wanted.every(({ oid, critical }, i) => extensions[i]?.oid === oid && extensions[i].critical === critical)
  check(same, "PRF-03", "extensions are other ones")
}

function checkNames(found: readonly GeneralName[], wanted: readonly GeneralName[]): void {
  const same = found.length === wanted.length && found.every((name, i) => equalNames(name, wanted[i]))
  check(same, "PRF-01", "alternative names are other ones")
}

function equalNames(a: GeneralName, b: GeneralName | undefined): boolean {
  if (a.kind === "other" || b === undefined || b.kind === "other") return false
  if (a.kind === "ip") return b.kind === "ip" && equal(a.octets, b.octets)
  return a.kind === b.kind && a.text === b.text
}

function equalLists(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i])
}

function equal(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a !== undefined && b !== undefined && equalBytes(a, b)
}

function check(holds: boolean, rule: string, message: string): asserts holds {
  if (!holds) throw new ProfileViolation(rule, message)
}

const SERIAL_DIGITS = 38
const LEAF_KEY_USAGE: readonly KeyUsage[] = ["digitalSignature"]
const AUTHORITY_KEY_USAGE: readonly KeyUsage[] = ["keyCertSign", "cRLSign"]
const LEAF_PURPOSES = [OID.serverAuth, OID.clientAuth]
const LEAF_EXTENSIONS: readonly Extension[] = [
  { oid: OID.keyUsage, critical: true },
  { oid: OID.extKeyUsage, critical: false },
  { oid: OID.basicConstraints, critical: true },
  { oid: OID.subjectKeyIdentifier, critical: false },
  { oid: OID.authorityKeyIdentifier, critical: false },
  { oid: OID.subjectAltName, critical: true },
]
const AUTHORITY_EXTENSIONS: readonly Extension[] = [
  { oid: OID.keyUsage, critical: true },
  { oid: OID.basicConstraints, critical: true },
  { oid: OID.subjectKeyIdentifier, critical: false },
  { oid: OID.authorityKeyIdentifier, critical: false },
  { oid: OID.subjectAltName, critical: false },
]
