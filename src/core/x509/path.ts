import { verify } from "node:crypto"
import { IdentityError } from "../errors.ts"
import type { TrustBundle } from "../spiffe/bundle.ts"
import { parseWorkloadId, type SpiffeId, trustDomainId, trustDomainOf } from "../spiffe/id.ts"
import type { Instant } from "../time.ts"
import { type CertificateView, parseCertificate } from "./certificate.ts"
import { OID } from "./oid.ts"
import { parsePublicKey } from "./public-key.ts"
import { digestOf, fitsKey } from "./signature-algorithm.ts"

/** An X.509-SVID whose chain ends in a bundle of its own trust domain. Only {@link verifySvidChain} makes one. */
export class VerifiedSvid {
  readonly spiffeId: SpiffeId
  readonly leaf: CertificateView
  /** The bundle's certificate at the end of the path. */
  readonly anchor: CertificateView
  /** When the first certificate of the path expires. */
  readonly notAfter: Instant
  readonly #path: readonly CertificateView[]

  private constructor(spiffeId: SpiffeId, leaf: CertificateView, path: readonly CertificateView[]) {
    this.spiffeId = spiffeId
    this.leaf = leaf
    this.#path = path
    this.anchor = path.at(-1) ?? leaf
    this.notAfter = Math.min(...path.map(({ notAfter }) => notAfter))
  }

  /** Leaf first, anchor last. */
  get path(): readonly CertificateView[] {
    return this.#path
  }

  /** For {@link verifySvidChain} alone. */
  static verify(chain: readonly Uint8Array[], bundle: TrustBundle, now: Instant): VerifiedSvid {
    const certificates = parseChain(chain)
    const [leaf] = certificates
    if (leaf === undefined) throw refused("chain is empty")
    const spiffeId = checkLeaf(leaf, bundle)
    return new VerifiedSvid(spiffeId, leaf, buildPath(certificates, 0, bundle, now))
  }
}

/**
 * Verify the chain of an X.509-SVID: RFC 5280 path validation as far as SVIDs need it. Signatures, validity, cA, path
 * length, key usage and names are checked on every certificate, the anchor included; a critical extension that is not
 * checked here (name constraints among them) is refused.
 * @param chain DER, leaf first, each next one the issuer of the one before; at most 8
 * @param bundle of the trust domain that the ID names
 * @throws IdentityError `malformed` for what cannot be read; `unauthenticated`, always with the same message, for what does
 * not verify: the cause says why @see X5-16 X5-17
 */
export function verifySvidChain(chain: readonly Uint8Array[], bundle: TrustBundle, now: Instant): VerifiedSvid {
  return VerifiedSvid.verify(chain, bundle, now)
}

/**
 * Verify that an issuing authority is one that verifiers who hold `bundle` will accept, for its adoption. Returns it.
 * @throws IdentityError as {@link verifySvidChain} @see INV-10 X5-11 X5-12 X5-14
 */
export function verifyIssuingAuthority(certificate: Uint8Array, bundle: TrustBundle, now: Instant): CertificateView {
  const view = parseCertificate(certificate)
  buildPath([view], 1, bundle, now)
  return view
}

/**
 * Verify that who trusts `earlier` alone, a root, accepts what is signed two levels below the root that `certificate` vouches for.
 * @throws IdentityError as {@link verifySvidChain} @see ROT-70 PRF-11
 */
export function verifyCrossCertificate(certificate: Uint8Array, earlier: TrustBundle, now: Instant): void {
  buildPath([parseCertificate(certificate)], 2, earlier, now)
}

function parseChain(chain: readonly Uint8Array[]): readonly CertificateView[] {
  if (chain.length > MAX_PATH) throw refused("chain is longer than 8 certificates")
  return chain.map(parseCertificate)
}

/**
 * From the first certificate to an anchor. The chain is in order, so there is one candidate at each step, but for the anchor.
 * @param level how far the first certificate is from a leaf
 */
function buildPath(
  certificates: readonly CertificateView[],
  level: 0 | 1 | 2,
  bundle: TrustBundle,
  now: Instant,
): readonly CertificateView[] {
  const anchors = bundle.x509Authorities.map(parseCertificate)
  const path: CertificateView[] = []
  for (const [i, certificate] of certificates.entries()) {
    path.push(certificate)
    checkValidity(certificate, now)
    checkCriticalExtensions(certificate)
    if (i + level > 0) checkAuthority(certificate, i + level - 1, bundle)
    if (i + level > 0 && anchors.some(({ der }) => Buffer.compare(der, certificate.der) === 0)) return path
    const issuers = anchors.filter((candidate) => isIssuer(candidate, certificate))
    if (issuers.length > 0) return [...path, checkAnchors(issuers, i + level, bundle, now)]
    const next = certificates[i + 1]
    if (next === undefined || !isIssuer(next, certificate)) break
  }
  throw refused("chain does not end in the bundle")
}

function checkLeaf(leaf: CertificateView, bundle: TrustBundle): SpiffeId {
  const [uri] = leaf.uriNames
  if (uri === undefined || leaf.uriNames.length !== 1) throw refused("leaf has not exactly one URI name [X5-02]")
  const spiffeId = parseLeafId(uri)
  if (trustDomainOf(spiffeId) !== bundle.trustDomain) throw refused("leaf is of another trust domain [X5-17]")
  if (leaf.isCa) throw refused("leaf is an authority [X5-06]")
  if (leaf.keyUsage?.has("digitalSignature") !== true) throw refused("leaf cannot sign [X5-07]")
  if (!isCritical(leaf, OID.keyUsage)) throw refused("key usage of the leaf is not critical [X5-07]")
  if (leaf.keyUsage.has("keyCertSign") || leaf.keyUsage.has("cRLSign"))
    throw refused("leaf can sign for others [X5-08]")
  const purposes = leaf.extKeyUsage
  const both = purposes === undefined || (purposes.includes(OID.serverAuth) && purposes.includes(OID.clientAuth))
  if (!both) throw refused("leaf is not for servers and clients [X5-10]")
  const emptySubject = leaf.subject.length === 2
  if (emptySubject && !isCritical(leaf, OID.subjectAltName)) throw refused("names of the leaf are not critical [X5-04]")
  return spiffeId
}

function parseLeafId(uri: string): SpiffeId {
  try {
    return parseWorkloadId(uri)
  } catch (cause) {
    throw refused("URI name of the leaf is no SPIFFE ID with a path [X5-05]", cause)
  }
}

/** @param below how many authorities stand between it and the leaf */
function checkAuthority(view: CertificateView, below: number, bundle: TrustBundle): void {
  if (!view.isCa) throw refused("issuer is no authority [X5-11]")
  if (view.keyUsage?.has("keyCertSign") !== true) throw refused("issuer cannot sign certificates [X5-12]")
  if (!isCritical(view, OID.basicConstraints)) throw refused("basic constraints of the issuer are not critical [X5-11]")
  if (!isCritical(view, OID.keyUsage)) throw refused("key usage of the issuer is not critical [X5-12]")
  if (view.pathLength !== undefined && below > view.pathLength) throw refused("path is too long for an issuer [X5-13]")
  const ids = view.uriNames.filter((uri) => uri.startsWith("spiffe:"))
  const own = trustDomainId(bundle.trustDomain)
  if (ids.some((id) => id !== own)) throw refused("issuer has another ID than its trust domain [X5-14]")
}

/** The first that is good: one key may have several certificates, of which some are over. @throws for the last, when none is */
function checkAnchors(
  [anchor, ...others]: readonly CertificateView[],
  below: number,
  bundle: TrustBundle,
  now: Instant,
): CertificateView {
  if (anchor === undefined) throw refused("chain does not end in the bundle")
  try {
    return checkAnchor(anchor, below, bundle, now)
  } catch (thrown) {
    if (others.length === 0) throw thrown
    return checkAnchors(others, below, bundle, now)
  }
}

function checkAnchor(anchor: CertificateView, below: number, bundle: TrustBundle, now: Instant): CertificateView {
  checkAuthority(anchor, below, bundle)
  checkValidity(anchor, now)
  checkCriticalExtensions(anchor)
  return anchor
}

function checkValidity(view: CertificateView, now: Instant): void {
  if (now < view.notBefore) throw refused("certificate is not valid yet")
  if (now > view.notAfter) throw refused("certificate has expired")
}

function checkCriticalExtensions(view: CertificateView): void {
  const unknown = view.extensions.find(({ oid, critical }) => critical && !CHECKED_EXTENSIONS.has(oid))
  if (unknown !== undefined) throw refused(`critical extension ${unknown.oid} is not understood`)
}

function isIssuer(issuer: CertificateView, subject: CertificateView): boolean {
  if (Buffer.compare(issuer.subject, subject.issuer) !== 0) return false
  const named = subject.authorityKeyId
  if (named !== undefined && issuer.subjectKeyId !== undefined && Buffer.compare(named, issuer.subjectKeyId) !== 0)
    return false
  return hasSigned(issuer, subject)
}

function hasSigned(issuer: CertificateView, subject: CertificateView): boolean {
  const algorithm = subject.signatureAlgorithm
  if (algorithm === undefined) return false
  const key = parsePublicKey(issuer.spki)
  if (!fitsKey(algorithm, key.algorithm)) return false
  return verify(digestOf(algorithm), subject.tbs, { key: key.keyObject, dsaEncoding: "der" }, subject.signature)
}

function isCritical(view: CertificateView, oid: string): boolean {
  return view.extensions.some((extension) => extension.oid === oid && extension.critical)
}

function refused(detail: string, cause?: unknown): IdentityError {
  return new IdentityError("unauthenticated", "X.509-SVID does not verify", { cause: new Error(detail, { cause }) })
}

const MAX_PATH = 8
const CHECKED_EXTENSIONS: ReadonlySet<string> = new Set([
  OID.keyUsage,
  OID.extKeyUsage,
  OID.basicConstraints,
  OID.subjectAltName,
  OID.subjectKeyIdentifier,
  OID.authorityKeyIdentifier,
])
