import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { parseIpAddress } from "../../src/core/x509/ip-address.ts"
import type { LeafRequest, LeafTemplate } from "../../src/core/x509/leaf-template.ts"
import { lintLeafTbs } from "../../src/core/x509/lint.ts"
import { OID } from "../../src/core/x509/oid.ts"
import { IssuancePermit } from "../../src/core/x509/permit.ts"
import { encodeSerial, makeSerial } from "../../src/core/x509/serial.ts"
import { makeKeyPair, makeTestCa } from "../support/test-ca.ts"

const NOW = 1_800_000_000
const ca = makeTestCa({ now: NOW })
const ID = "spiffe://example.org/ns/a/sa/b"
const leaf = ca.issueLeaf(ID, { dnsNames: ["b.a.svc", "b"], ipAddresses: [parseIpAddress("10.0.0.1")] }).certificate
const extension = (oid: string) => leaf.extensions.find((candidate) => candidate.oid === oid)

function request(changes: Partial<LeafRequest> = {}): LeafRequest {
  return {
    serial: makeSerial(randomBytes, 1),
    spiffeId: parseSpiffeId(ID),
    dnsNames: [],
    publicKey: makeKeyPair().publicKey,
    notBefore: NOW,
    notAfter: NOW + 60,
    ...changes,
  }
}

const violates = (rule: string, run: () => unknown): void => assert.throws(run, { name: "ProfileViolation", rule })

test("[X5-01][X5-03][PRF-01] writes the SPIFFE ID first and alone as URI, then DNS names, then addresses", () => {
  assert.deepEqual(leaf.uriNames, [ID])
  const kinds = leaf.names.map(({ kind }) => kind)
  assert.deepEqual(kinds, ["uri", "dns", "dns", "ip"])
  for (const name of [
    "A.b",
    "*.a",
    "a..b",
    "a.",
    "-a",
    "a_b",
    "10.0.0.1",
    "",
    "a".repeat(64),
    "a\0",
    `${"a.".repeat(127)}a`,
  ]) {
    assert.throws(() => IssuancePermit.prepare(ca.template, request({ dnsNames: [name] })), `accepted ${name}`)
  }
  violates("X5-03", () => IssuancePermit.prepare(ca.template, request({ dnsNames: ["a", "a"] })))
})

test("[X5-04] marks the alternative names critical beside an empty subject", () => {
  assert.equal(extension(OID.subjectAltName)?.critical, true)
  assert.equal(leaf.subject.length, 2)
})

test("[X5-05] gives no leaf an ID without a path", () => {
  violates("X5-05", () =>
    IssuancePermit.prepare(ca.template, request({ spiffeId: parseSpiffeId("spiffe://example.org") })),
  )
})

test("[X5-14] gives no leaf an ID of another trust domain than its issuer's", () => {
  const { template } = makeTestCa({ now: NOW, trustDomain: "other.example" })
  violates("X5-14", () => IssuancePermit.prepare(template, request()))
})

test("[X5-06] writes a critical basicConstraints with cA false", () => {
  assert.equal(extension(OID.basicConstraints)?.critical, true)
  assert.ok(Buffer.from(leaf.tbs).includes(Buffer.from("0603551d130101ff04023000", "hex")), "an empty SEQUENCE")
})

test("[X5-07][X5-08][X5-09] writes a critical keyUsage of digitalSignature alone", () => {
  assert.equal(extension(OID.keyUsage)?.critical, true)
  assert.deepEqual([...(leaf.keyUsage ?? [])], ["digitalSignature"])
})

test("[X5-10] writes serverAuth and clientAuth", () => {
  assert.deepEqual(leaf.extKeyUsage, [OID.serverAuth, OID.clientAuth])
})

test("[X5-11][X5-12][X5-13][X5-14][PRF-02] writes authorities with cA, keyCertSign, a bound below issuing ones, and the ID of the domain", () => {
  for (const [view, pathLength] of [
    [ca.root.certificate, undefined],
    [ca.issuing.certificate, 0],
  ] as const) {
    assert.equal(view.isCa, true)
    assert.equal(view.pathLength, pathLength)
    assert.deepEqual([...(view.keyUsage ?? [])], ["keyCertSign", "cRLSign"])
    assert.deepEqual(view.uriNames, ["spiffe://example.org"])
    assert.equal(view.extKeyUsage, undefined)
  }
  assert.deepEqual(ca.root.certificate.issuer, ca.root.certificate.subject)
})

test("[PRF-03] writes exactly the extensions of the profile, and the lint refuses any other set", () => {
  const ours = [
    OID.keyUsage,
    OID.extKeyUsage,
    OID.basicConstraints,
    OID.subjectKeyIdentifier,
    OID.authorityKeyIdentifier,
  ]
  assert.deepEqual(
    leaf.extensions.map(({ oid }) => oid),
    [...ours, OID.subjectAltName],
  )
  const wanted = request()
  const tbs = Buffer.from(ca.template.encodeTbs(wanted))
  // 2.5.29.35 becomes 2.5.29.36: an extension that nobody asked for, and one that is missing.
  const at = tbs.indexOf(Buffer.from("0603551d23", "hex"))
  tbs[at + 4] = 0x24
  assert.throws(() => lintLeafTbs(tbs, wanted, ca.template), { name: "ProfileViolation" })
})

test("[PRF-04] identifies the subject key by truncated SHA-256, and the issuer by key identifier alone", () => {
  assert.equal(leaf.subjectKeyId?.length, 20)
  assert.deepEqual(leaf.authorityKeyId, ca.issuing.certificate.subjectKeyId)
  assert.ok(Buffer.from(leaf.tbs).includes(Buffer.from("0603551d23041830168014", "hex")), "nothing but 20 octets")
})

test("[PRF-05] the lint refuses every single-bit change of the bytes that were authorised", () => {
  const wanted = request({ dnsNames: ["b.a.svc"] })
  const tbs = Buffer.from(ca.template.encodeTbs(wanted))
  lintLeafTbs(tbs, wanted, ca.template)
  for (let bit = 0; bit < tbs.length * 8; bit++) {
    const changed = Buffer.from(tbs)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.throws(() => lintLeafTbs(changed, wanted, ca.template), `bit ${bit} may change`)
  }
})

test("[PRF-05] a permit is redeemed once, by the authority it was made for", () => {
  const permit = IssuancePermit.prepare(ca.template, request())
  assert.throws(() => permit.redeem("00"), RangeError)
  assert.equal(permit.redeem(ca.template.authorityId), permit.tbs)
  assert.throws(() => permit.redeem(ca.template.authorityId), TypeError)
})

test("[PRF-06] makes serials of a prefix octet, two octets of the time, and 128 random bits, at most 20 octets in DER", () => {
  for (const [prefix, length] of [
    [1, 21],
    [127, 21],
    [128, 22],
    [255, 22],
  ] as const) {
    const serial = makeSerial(() => new Uint8Array(16), prefix, 64 * 0xabcd)
    assert.match(serial, /^[0-9a-f]{2}abcd0{32}$/)
    assert.equal(encodeSerial(serial).length, length)
    assert.equal(ca.issueLeaf(ID).certificate.serial.length, 38)
  }
  for (const prefix of [0, 256, 1.5, -1]) assert.throws(() => makeSerial(randomBytes, prefix), RangeError)
  assert.throws(() => makeSerial(() => new Uint8Array(8), 1), RangeError)
})

test("[PRF-07] keeps the validity of a leaf within that of its issuer", () => {
  const { notBefore, notAfter } = ca.template.issuer
  IssuancePermit.prepare(ca.template, request({ notBefore, notAfter }))
  violates("INV-05", () => IssuancePermit.prepare(ca.template, request({ notBefore: notBefore - 1 })))
  violates("INV-05", () => IssuancePermit.prepare(ca.template, request({ notAfter: notAfter + 1 })))
  violates("INV-05", () => IssuancePermit.prepare(ca.template, request({ notAfter: NOW })))
})

test("[PRF-08] refuses an issuing authority that has the name of its root", () => {
  const named = { serial: makeSerial(randomBytes, 1), trustDomain: ca.trustDomain, publicKey: makeKeyPair().publicKey }
  const lifetime = { notBefore: NOW, notAfter: NOW + 60 }
  const subject = { organization: "Test", commonName: "Test root", serialNumber: ca.root.publicKey.keyIdHex }
  violates("RINV-09", () => IssuancePermit.prepareIssuing(ca.root.certificate, { ...named, ...lifetime, subject }))
})

test("[PRF-09] names the signature that belongs to the issuer's key", () => {
  for (const [keys, name] of [
    ["p256", "ecdsa-sha256"],
    ["p384", "ecdsa-sha384"],
    ["rsa", "rsa-sha256"],
  ] as const) {
    const template: LeafTemplate = makeTestCa({ keys, now: NOW }).template
    assert.equal(IssuancePermit.prepare(template, request()).authorityId, template.authorityId)
    assert.equal(template.signatureAlgorithm, name)
  }
})
