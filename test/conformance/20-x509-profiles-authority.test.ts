import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { AuthorityRequest } from "../../src/core/x509/authority-template.ts"
import { lintIssuingTbs, lintRootTbs } from "../../src/core/x509/lint.ts"
import { IssuancePermit } from "../../src/core/x509/permit.ts"
import { makeSerial } from "../../src/core/x509/serial.ts"
import { makeKeyPair, makeTestCa } from "../support/test-ca.ts"

const NOW = 1_800_000_000
const ca = makeTestCa({ now: NOW })
const root = ca.root.certificate

function request(changes: Partial<AuthorityRequest> = {}): AuthorityRequest {
  const { publicKey } = makeKeyPair()
  return {
    serial: makeSerial(randomBytes, 1),
    trustDomain: ca.trustDomain,
    subject: { organization: "Test", commonName: "Test authority", serialNumber: publicKey.keyIdHex },
    publicKey,
    notBefore: NOW,
    notAfter: NOW + 60,
    ...changes,
  }
}

function refusesEveryBit(tbs: Uint8Array, lint: (tbs: Uint8Array) => void): void {
  lint(tbs)
  for (let bit = 0; bit < tbs.length * 8; bit++) {
    const changed = Buffer.from(tbs)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.throws(() => lint(changed), `bit ${bit} may change`)
  }
}

test("[PRF-05] the lint of a root refuses every single-bit change of what was authorised", () => {
  const wanted = request()
  refusesEveryBit(IssuancePermit.prepareRoot(wanted).tbs, (tbs) => lintRootTbs(tbs, wanted))
})

test("[PRF-05] the lint of an issuing authority refuses every single-bit change of what was authorised", () => {
  const wanted = request()
  refusesEveryBit(IssuancePermit.prepareIssuing(root, wanted).tbs, (tbs) => lintIssuingTbs(tbs, wanted, root))
})

test("[X5-11] the lint of a root refuses one whose cA is written as false", () => {
  const wanted = request()
  const text = Buffer.from(IssuancePermit.prepareRoot(wanted).tbs).toString("hex")
  const changed = Buffer.from(text.replace("30030101ff", "3003010100"), "hex")
  assert.notEqual(changed.toString("hex"), text)
  assert.throws(() => lintRootTbs(changed, wanted), { name: "ProfileViolation", rule: "X5-11" })
})

test("[PRF-05] an authority is not given for one that was authorised with another key, serial, name or domain", () => {
  const wanted = request()
  const others: readonly Partial<AuthorityRequest>[] = [
    { publicKey: makeKeyPair().publicKey },
    { serial: makeSerial(randomBytes, 1) },
    { subject: { commonName: "other" } },
    { trustDomain: parseTrustDomain("other.example") },
    { notAfter: NOW + 61 },
    { notBefore: NOW - 1 },
  ]
  const ofRoot = IssuancePermit.prepareRoot(wanted).tbs
  const ofIssuing = IssuancePermit.prepareIssuing(root, wanted).tbs
  for (const change of others) {
    const other = { ...wanted, ...change }
    assert.throws(() => lintRootTbs(ofRoot, other), { name: "ProfileViolation" })
    assert.throws(() => lintIssuingTbs(ofIssuing, other, root), { name: "ProfileViolation" })
  }
})

test("[X5-14] no authority is made below the root of another trust domain, nor below what is no authority", () => {
  const other = request({ trustDomain: parseTrustDomain("other.example") })
  const violation = { name: "ProfileViolation", rule: "X5-14" }
  assert.throws(() => IssuancePermit.prepareIssuing(root, other), violation)
  const leaf = ca.issueLeaf("spiffe://example.org/a").certificate
  assert.throws(() => IssuancePermit.prepareIssuing(leaf, request()), violation)
})

test("[PRF-07] the validity of an authority is not empty, and within that of its root", () => {
  const violation = { name: "ProfileViolation", rule: "INV-05" }
  assert.throws(() => IssuancePermit.prepareRoot(request({ notAfter: NOW })), violation)
  assert.throws(() => IssuancePermit.prepareIssuing(root, request({ notBefore: root.notBefore - 1 })), violation)
  assert.throws(() => IssuancePermit.prepareIssuing(root, request({ notAfter: root.notAfter + 1 })), violation)
})
