import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { IdentityError } from "../../src/core/errors.ts"
import type { TrustBundle } from "../../src/core/spiffe/bundle.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { encodeIssuingTbs } from "../../src/core/x509/authority-template.ts"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import { encodeTime } from "../../src/core/x509/der-time.ts"
import { verifyIssuingAuthority, verifySvidChain } from "../../src/core/x509/path.ts"
import { makeSerial } from "../../src/core/x509/serial.ts"
import { encodeSignatureAlgorithm } from "../../src/core/x509/signature-algorithm.ts"
import { bounded } from "../support/bounded-root.ts"
import { NAME_CONSTRAINTS, replaceField, withExtension } from "../support/changed-tbs.ts"
import { makeBundle, makeKeyPair, makeTestCa, signTbs } from "../support/test-ca.ts"

const NOW = 1_800_000_000
const ca = makeTestCa({ now: NOW })
const issuing = ca.issuing.certificate
const leaf = ca.issueLeaf("spiffe://example.org/a", { dnsNames: ["a.example"] })
const tbs = (from: Uint8Array): string => Buffer.from(from).toString("hex")

/** The chain with one replacement of equal length in the leaf (0) or issuer (1), signed again by the right key. */
function altered(level: 0 | 1, from: string, to: string): readonly Uint8Array[] {
  const source = level === 0 ? leaf.certificate : ca.issuing.certificate
  const text = tbs(source.tbs)
  assert.ok(text.includes(from) && from.length === to.length, "nothing to alter")
  const signed = signTbs(level === 0 ? ca.issuing : ca.root, Buffer.from(text.replace(from, to), "hex"))
  return level === 0 ? [signed, ca.issuing.certificate.der] : [leaf.certificate.der, signed]
}

function refuses(chain: readonly Uint8Array[], detail: RegExp, bundle = ca.bundle, now = NOW): void {
  assert.throws(
    () => verifySvidChain(chain, bundle, now),
    (error) => {
      assert.ok(error instanceof IdentityError)
      assert.equal(error.code, "unauthenticated")
      assert.equal(error.message, "X.509-SVID does not verify")
      assert.match(error.cause instanceof Error ? error.cause.message : "", detail)
      return true
    },
  )
}

/** The root once more: same name, same key, other dates. */
function renewedRoot(notBefore: number, notAfter: number): Uint8Array {
  const { certificate } = ca.root
  const [from, to] = [utcTimes(certificate.notBefore, certificate.notAfter), utcTimes(notBefore, notAfter)]
  assert.ok(tbs(certificate.tbs).includes(from))
  return signTbs(ca.root, Buffer.from(tbs(certificate.tbs).replace(from, to), "hex"))
}

/** A bundle of the root alone, with one replacement of equal length in it, signed again. */
function alteredRoot(from: string, to: string): TrustBundle {
  const text = tbs(ca.root.certificate.tbs)
  assert.ok(text.includes(from) && from.length === to.length, "nothing to alter")
  return makeBundle(ca.trustDomain, [signTbs(ca.root, Buffer.from(text.replace(from, to), "hex"))])
}

const utcTimes = (...times: readonly number[]): string =>
  times.map((at) => Buffer.from(encodeTime(at)).toString("hex")).join("")
const hex = (text: string): string => Buffer.from(text).toString("hex")

test("[X5-16] accepts a chain that ends in the bundle, with or without the root in it", () => {
  for (const chain of [leaf.chain, [...leaf.chain, ca.root.certificate.der]]) {
    const verified = verifySvidChain(chain, ca.bundle, NOW)
    assert.equal(verified.spiffeId, "spiffe://example.org/a")
    assert.equal(verified.notAfter, leaf.certificate.notAfter)
    assert.deepEqual(verified.anchor.der, ca.root.certificate.der)
  }
  for (const keys of ["p384", "rsa"] as const) {
    const other = makeTestCa({ keys, now: NOW })
    verifySvidChain(other.issueLeaf("spiffe://example.org/a").chain, other.bundle, NOW)
  }
})

test("[X5-16] accepts a chain that ends in one of several certificates of the same key", () => {
  const over = renewedRoot(ca.root.certificate.notBefore, NOW - 60)
  const { der } = ca.root.certificate
  for (const roots of [
    [over, der],
    [der, over],
  ]) {
    const { anchor } = verifySvidChain(leaf.chain, makeBundle(ca.trustDomain, roots), NOW)
    assert.deepEqual(anchor.der, der)
  }
  refuses(leaf.chain, /expired/, makeBundle(ca.trustDomain, [over, over]))
})

test("[X5-16] refuses a changed byte, a missing or foreign issuer, an expired or early certificate", () => {
  const broken = Buffer.from(leaf.certificate.der)
  broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1
  refuses([broken, ca.issuing.certificate.der], /does not end/)
  refuses([leaf.certificate.der], /does not end/)
  refuses([leaf.certificate.der, makeTestCa({ now: NOW }).issuing.certificate.der], /does not end/)
  refuses(leaf.chain, /does not end/, makeTestCa({ now: NOW }).bundle)
  refuses(leaf.chain, /does not end/, makeBundle(ca.trustDomain, []))
  refuses(leaf.chain, /expired/, ca.bundle, leaf.certificate.notAfter + 1)
  refuses(leaf.chain, /not valid yet/, ca.bundle, leaf.certificate.notBefore - 1)
  refuses([], /empty/)
  refuses(new Array(9).fill(leaf.certificate.der), /longer than 8/)
})

test("[X5-16] refuses a critical extension that is not checked, name constraints among them", () => {
  // subjectKeyIdentifier and authorityKeyIdentifier are not critical, so basicConstraints changes its name.
  refuses(altered(0, "0603551d130101ff", "0603551d1e0101ff"), /2\.5\.29\.30 is not understood/)
})

test("[X5-16] accepts a certificate at its first and at its last second, and refuses it a second before and after", () => {
  const { notBefore, notAfter } = leaf.certificate
  for (const at of [notBefore, notAfter]) verifySvidChain(leaf.chain, ca.bundle, at)
  refuses(leaf.chain, /not valid yet/, ca.bundle, notBefore - 1)
  refuses(leaf.chain, /expired/, ca.bundle, notAfter + 1)
})

test("[X5-16] an SVID is good until the first certificate of its path expires", () => {
  const chain = altered(1, utcTimes(issuing.notBefore, issuing.notAfter), utcTimes(issuing.notBefore, NOW + 60))
  assert.equal(verifySvidChain(chain, ca.bundle, NOW).notAfter, NOW + 60)
})

test("[X5-16] refuses an issuer that is out of its dates, or has a critical extension that is not checked, in chain and bundle", () => {
  const dates = utcTimes(issuing.notBefore, issuing.notAfter)
  refuses(altered(1, dates, utcTimes(issuing.notBefore, NOW - 1)), /expired/)
  refuses(altered(1, dates, utcTimes(NOW + 1, issuing.notAfter)), /not valid yet/)
  refuses(leaf.chain, /not valid yet/, makeBundle(ca.trustDomain, [renewedRoot(NOW + 1, NOW + 60)]))
  refuses(leaf.chain, /expired/, makeBundle(ca.trustDomain, [renewedRoot(NOW - 60, NOW - 1)]))
  const limited = signTbs(ca.root, withExtension(issuing.tbs, NAME_CONSTRAINTS))
  refuses([leaf.certificate.der, limited], /2\.5\.29\.30 is not understood/)
  const root = signTbs(ca.root, withExtension(ca.root.certificate.tbs, NAME_CONSTRAINTS))
  refuses(leaf.chain, /2\.5\.29\.30 is not understood/, makeBundle(ca.trustDomain, [root]))
})

test("[X5-16] refuses an issuer by the right key that has another name, or another key identifier", () => {
  const root = tbs(ca.root.certificate.tbs)
  const [keyId, other] = [ca.root.publicKey.keyIdHex, "00".repeat(20)]
  for (const changed of [
    root.replaceAll(hex("Test root"), hex("Test roof")),
    root.replace(`0414${keyId}`, `0414${other}`),
  ]) {
    assert.notEqual(changed, root)
    const bundle = makeBundle(ca.trustDomain, [signTbs(ca.root, Buffer.from(changed, "hex"))])
    refuses(leaf.chain, /does not end/, bundle)
  }
})

test("[X5-16] refuses a signature of another kind than the certificate names", () => {
  const rsa = makeTestCa({ keys: "rsa", now: NOW })
  const { certificate } = rsa.issueLeaf("spiffe://example.org/a")
  const named = replaceField(certificate.tbs, 2, encodeSignatureAlgorithm("ecdsa-sha256"))
  refuses([signTbs(rsa.issuing, named), rsa.issuing.certificate.der], /does not end/, rsa.bundle)
})

test("[X5-16] refuses a leaf that stands in the bundle itself", () => {
  refuses([leaf.certificate.der], /does not end/, makeBundle(ca.trustDomain, [leaf.certificate.der]))
})

test("[X5-02] refuses more than one URI name, and none", () => {
  refuses(altered(0, `820961${hex(".example")}`, `860961${hex(".example")}`), /exactly one URI/)
  refuses(altered(0, `8616${hex("spiffe://example.org/a")}`, `8216${hex("spiffe://example.org/a")}`), /exactly one URI/)
})

test("[X5-04] refuses a leaf without subject whose names are not critical", () => {
  refuses(altered(0, "0603551d110101ff", "0603551d11010100"), /X5-04/)
})

test("[X5-05] refuses a leaf whose ID has no path or is no SPIFFE ID", () => {
  const id = hex("spiffe://example.org/a")
  refuses(altered(0, id, hex("spiffe://example.orgaa")), /another trust domain|path/)
  refuses(altered(0, id, hex("spiffe://example.orga/")), /X5-05/)
  refuses(altered(0, id, hex("https0://example.org/a")), /X5-05/)
  refuses([ca.issuing.certificate.der, ca.root.certificate.der], /X5-05/)
})

test("[X5-06][X5-15] refuses an authority where a leaf is due", () => {
  refuses([ca.issuing.certificate.der], /X5-05/)
  const withPath = tbs(ca.issuing.certificate.tbs).replace(hex("spiffe://example.org"), hex("spiffe://a.org/bcdef"))
  const bundle = makeBundle(parseTrustDomain("a.org"), [ca.root.certificate.der])
  refuses([signTbs(ca.root, Buffer.from(withPath, "hex"))], /X5-06/, bundle)
})

test("[X5-07][X5-08] refuses a leaf that cannot sign, or can sign certificates or CRLs", () => {
  refuses(altered(0, "03020780", "03020520"), /X5-07/)
  refuses(altered(0, "03020780", "03020284"), /X5-08/)
  refuses(altered(0, "03020780", "03020182"), /X5-08/)
  refuses(altered(0, "0603551d0f0101ff", "0603551d0f010100"), /key usage of the leaf is not critical/)
  refuses(altered(0, "0603551d0f0101ff", "0603551d63010100"), /X5-07/)
})

test("[X5-09] accepts a leaf that has keyEncipherment as well", () => {
  verifySvidChain(altered(0, "03020780", "030205a0"), ca.bundle, NOW)
})

test("[X5-10] refuses a leaf for other purposes", () => {
  for (const one of ["01", "02"]) {
    refuses(altered(0, `06082b060105050703${one}`, "06082b06010505070304"), /X5-10/)
  }
})

test("[X5-11] refuses an issuer that is no authority", () => {
  // The same issuer, its basicConstraints under another name and not critical.
  refuses(altered(1, "0603551d130101ff", "0603551d63010100"), /issuer is no authority/)
  refuses(altered(1, "0603551d130101ff", "0603551d13010100"), /basic constraints of the issuer are not critical/)
  refuses(leaf.chain, /issuer is no authority/, alteredRoot("0603551d130101ff", "0603551d63010100"))
})

test("[X5-12] refuses an issuer that cannot sign certificates", () => {
  refuses(altered(1, "03020106", "03020102"), /issuer cannot sign certificates/)
  refuses(altered(1, "0603551d0f0101ff", "0603551d63010100"), /issuer cannot sign certificates/)
  refuses(altered(1, "0603551d0f0101ff", "0603551d0f010100"), /key usage of the issuer is not critical/)
  refuses(leaf.chain, /issuer cannot sign certificates/, alteredRoot("03020106", "03020102"))
})

test("[X5-13] refuses a path that is longer than an issuer allows", () => {
  const withBound = (length: number) => signTbs(ca.root, bounded(ca.root.certificate.tbs, length))
  refuses(leaf.chain, /X5-13/, makeBundle(ca.trustDomain, [withBound(0)]))
  verifySvidChain(leaf.chain, makeBundle(ca.trustDomain, [withBound(1)]), NOW)
})

test("[X5-13] refuses an authority below one that issues leaves only", () => {
  const keys = makeKeyPair()
  const { notBefore, notAfter } = issuing
  const subject = { organization: "Test", commonName: "Test lower", serialNumber: keys.publicKey.keyIdHex }
  const serial = makeSerial(randomBytes, 1)
  const wanted = { serial, trustDomain: ca.trustDomain, subject, publicKey: keys.publicKey, notBefore, notAfter }
  const lower = parseCertificate(signTbs(ca.issuing, encodeIssuingTbs(wanted, issuing)))
  const moved = replaceField(leaf.certificate.tbs, 3, lower.subject)
  const below = signTbs(
    keys,
    Buffer.from(tbs(moved).replace(ca.issuing.publicKey.keyIdHex, keys.publicKey.keyIdHex), "hex"),
  )
  refuses([below, lower.der, issuing.der], /path is too long/)
  verifySvidChain([below, lower.der], makeBundle(ca.trustDomain, [lower.der]), NOW)
})

test("[X5-14] refuses an issuer with another SPIFFE ID than its trust domain", () => {
  refuses(altered(1, hex("spiffe://example.org"), hex("spiffe://example.com")), /X5-14/)
  refuses(leaf.chain, /X5-14/, alteredRoot(hex("spiffe://example.org"), hex("spiffe://example.com")))
})

test("[X5-17] refuses the bundle of another trust domain even when the key is the same", () => {
  const bundle = { ...ca.bundle, trustDomain: parseTrustDomain("other.org") }
  refuses(leaf.chain, /X5-17/, bundle)
})

test("[PRF-10] an issuing authority is adopted only when it verifies under the published bundle", () => {
  const { der } = ca.issuing.certificate
  assert.deepEqual(verifyIssuingAuthority(der, ca.bundle, NOW).der, der)
  const refused = { code: "unauthenticated" }
  assert.throws(() => verifyIssuingAuthority(der, makeTestCa({ now: NOW }).bundle, NOW), refused)
  assert.throws(() => verifyIssuingAuthority(leaf.certificate.der, ca.bundle, NOW), refused)
  assert.throws(() => verifyIssuingAuthority(der, ca.bundle, ca.root.certificate.notAfter + 1), refused)
  const forged = signTbs(makeKeyPair(), parseCertificate(der).tbs)
  assert.throws(() => verifyIssuingAuthority(forged, ca.bundle, NOW), refused)
})
