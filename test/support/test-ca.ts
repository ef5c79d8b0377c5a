import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { TrustBundle } from "../../src/core/spiffe/bundle.ts"
import { parseSpiffeId, parseTrustDomain, type TrustDomain, trustDomainOf } from "../../src/core/spiffe/id.ts"
import type { Instant, Seconds } from "../../src/core/time.ts"
import { assembleCertificate } from "../../src/core/x509/assemble.ts"
import { type CertificateView, parseCertificate } from "../../src/core/x509/certificate.ts"
import { type LeafTemplate, prepareLeafTemplate } from "../../src/core/x509/leaf-template.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import { IssuancePermit } from "../../src/core/x509/permit.ts"
import { parsePublicKey, type SubjectPublicKey } from "../../src/core/x509/public-key.ts"
import { makeSerial } from "../../src/core/x509/serial.ts"

export interface TestCaOptions {
  /** Default `example.org`. */
  readonly trustDomain?: string
  /** Both authorities are valid from one hour before. Default: the wall clock. */
  readonly now?: Instant
  /** Life of the authorities after `now`. Default one day. */
  readonly ttl?: Seconds
  readonly keys?: "p256" | "p384" | "rsa"
}

export interface LeafOptions {
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly Uint8Array[]
  /** Default: a minute before `now`. */
  readonly notBefore?: Instant
  /** Default: one hour after `now`. */
  readonly notAfter?: Instant
  /** Default: a fresh P-256 key. */
  readonly keyPair?: TestKeyPair
}

export interface TestKeyPair {
  readonly publicKey: SubjectPublicKey
  readonly privateKey: KeyObject
}

export interface TestAuthority extends TestKeyPair {
  readonly certificate: CertificateView
}

export interface TestLeaf extends TestKeyPair {
  readonly certificate: CertificateView
  /** DER: leaf, issuing authority. */
  readonly chain: readonly Uint8Array[]
  /** PKCS#8, DER. */
  readonly pkcs8: Uint8Array
}

/** A root, an issuing authority below it, and leaves on demand; real keys, real profile, all synchronous. */
export interface TestCa {
  readonly trustDomain: TrustDomain
  readonly root: TestAuthority
  readonly issuing: TestAuthority
  readonly template: LeafTemplate
  readonly bundle: TrustBundle
  issueLeaf(spiffeId: string, options?: LeafOptions): TestLeaf
  /** Write root.pem, issuing.pem, leaf.pem (leaf and issuing), leaf-only.pem and leaf.key into a folder. */
  writeChain(folder: string, leaf: TestLeaf): void
}

export function makeTestCa(options: TestCaOptions = {}): TestCa {
  const trustDomain = parseTrustDomain(options.trustDomain ?? "example.org")
  const now = options.now ?? Math.floor(Date.now() / 1000)
  const lifetime = { notBefore: now - 3600, notAfter: now + (options.ttl ?? 86400) }
  const rootKeys = makeKeyPair(options.keys ?? "p256")
  const issuingKeys = makeKeyPair(options.keys ?? "p256")
  const request = (keys: TestKeyPair, commonName: string) => ({
    serial: freshSerial(),
    trustDomain,
    subject: { organization: "Test", commonName, serialNumber: keys.publicKey.keyIdHex },
    publicKey: keys.publicKey,
    ...lifetime,
  })
  const rootCertificate = signWith(rootKeys, IssuancePermit.prepareRoot(request(rootKeys, "Test root")))
  const issuingRequest = request(issuingKeys, "Test issuing")
  const issuingCertificate = signWith(rootKeys, IssuancePermit.prepareIssuing(rootCertificate, issuingRequest))
  const template = prepareLeafTemplate({ issuer: issuingCertificate })
  return {
    trustDomain,
    root: { ...rootKeys, certificate: rootCertificate },
    issuing: { ...issuingKeys, certificate: issuingCertificate },
    template,
    bundle: makeBundle(trustDomain, [rootCertificate.der]),
    issueLeaf: (spiffeId, leaf = {}) => issueLeaf({ template, keys: issuingKeys, now }, spiffeId, leaf),
    writeChain: (folder, leaf) => writeChain(folder, rootCertificate.der, leaf),
  }
}

/** A fresh key pair. */
export function makeKeyPair(kind: "p256" | "p384" | "rsa" = "p256"): TestKeyPair {
  const der = { format: "der" } as const
  const encoding = {
    publicKeyEncoding: { ...der, type: "spki" },
    privateKeyEncoding: { ...der, type: "pkcs8" },
  } as const
  const pair =
    kind === "rsa"
      ? generateKeyPairSync("rsa", { modulusLength: 2048, ...encoding })
      : generateKeyPairSync("ec", { namedCurve: kind === "p256" ? "P-256" : "P-384", ...encoding })
  const privateKey = createPrivateKey({ key: pair.privateKey, format: "der", type: "pkcs8" })
  return { publicKey: parsePublicKey(pair.publicKey), privateKey }
}

/** Sign any TBS bytes, for certificates that the profile would refuse. */
export function signTbs(keys: TestKeyPair, tbs: Uint8Array): Uint8Array {
  const digest = keys.publicKey.algorithm === "ec-p384" ? "sha384" : "sha256"
  return assembleCertificate(tbs, sign(digest, tbs, keys.privateKey))
}

export function makeBundle(trustDomain: TrustDomain, x509Authorities: readonly Uint8Array[]): TrustBundle {
  return { trustDomain, x509Authorities, jwtAuthorities: [], sequence: 1, refreshHint: undefined }
}

function signWith(keys: TestKeyPair, permit: IssuancePermit): CertificateView {
  return parseCertificate(signTbs(keys, permit.redeem(keys.publicKey.keyIdHex)))
}

interface Issuing {
  readonly template: LeafTemplate
  readonly keys: TestKeyPair
  readonly now: Instant
}

function issueLeaf({ template, keys, now }: Issuing, text: string, options: LeafOptions): TestLeaf {
  const spiffeId = parseSpiffeId(text)
  if (!template.issuer.uriNames.includes(`spiffe://${trustDomainOf(spiffeId)}`))
    throw new Error("leaf of another domain")
  const leafKeys = options.keyPair ?? makeKeyPair()
  const permit = IssuancePermit.prepare(template, {
    serial: freshSerial(),
    spiffeId,
    dnsNames: options.dnsNames ?? [],
    ipAddresses: options.ipAddresses ?? [],
    publicKey: leafKeys.publicKey,
    notBefore: options.notBefore ?? now - BACKDATE,
    notAfter: options.notAfter ?? now + 3600,
  })
  const certificate = signWith(keys, permit)
  const pkcs8 = leafKeys.privateKey.export({ format: "der", type: "pkcs8" })
  return { ...leafKeys, certificate, chain: [certificate.der, template.issuer.der], pkcs8 }
}

function writeChain(folder: string, root: Uint8Array, leaf: TestLeaf): void {
  mkdirSync(folder, { recursive: true })
  const write = (name: string, label: string, parts: readonly Uint8Array[], mode = 0o644): void => {
    writeFileSync(join(folder, name), parts.map((der) => encodePem(label, der)).join(""), { mode })
  }
  write("root.pem", "CERTIFICATE", [root])
  write("issuing.pem", "CERTIFICATE", leaf.chain.slice(1))
  write("leaf.pem", "CERTIFICATE", leaf.chain)
  write("leaf-only.pem", "CERTIFICATE", leaf.chain.slice(0, 1))
  write("leaf.key", "PRIVATE KEY", [leaf.pkcs8], 0o600)
}

function freshSerial() {
  return makeSerial(randomBytes, 1)
}

/** The clock that OpenSSL asks is some milliseconds behind, in which this second has not begun. */
const BACKDATE: Seconds = 60
