import assert from "node:assert/strict"
import { randomBytes, X509Certificate } from "node:crypto"
import { test } from "node:test"
import type { CrossRequest } from "../../src/core/x509/authority-template.ts"
import { type CertificateView, parseCertificate } from "../../src/core/x509/certificate.ts"
import { lintCrossTbs } from "../../src/core/x509/lint.ts"
import { OID } from "../../src/core/x509/oid.ts"
import { verifyCrossCertificate } from "../../src/core/x509/path.ts"
import { IssuancePermit } from "../../src/core/x509/permit.ts"
import { makeSerial } from "../../src/core/x509/serial.ts"
import { bounded } from "../support/bounded-root.ts"
import { makeBundle, makeTestCa, signTbs } from "../support/test-ca.ts"

const NOW = 1_800_000_000
const YEAR = 365 * 86_400
const [a, b] = [makeTestCa({ now: NOW, ttl: YEAR }), makeTestCa({ now: NOW + 7200, ttl: 2 * YEAR })]
const earlier = a.root.certificate
const later = b.root.certificate

test("[PRF-11] a cross-certificate has name, key and ID of the new root, and issuer and signature of the earlier one", () => {
  const cross = parseCertificate(signTbs(a.root, prepare().redeem(a.root.publicKey.keyIdHex)))
  assert.deepEqual([cross.subject, cross.spki, cross.uriNames], [later.subject, later.spki, later.uriNames])
  assert.deepEqual([cross.subjectKeyId, cross.authorityKeyId], [later.subjectKeyId, earlier.subjectKeyId])
  assert.deepEqual(cross.issuer, earlier.subject)
  assert.deepEqual([cross.isCa, cross.pathLength], [true, undefined])
  assert.deepEqual([...(cross.keyUsage ?? [])], ["keyCertSign", "cRLSign"])
  assert.ok(new X509Certificate(cross.der).verify(a.root.publicKey.keyObject))
  const wanted = [OID.keyUsage, OID.basicConstraints, OID.subjectKeyIdentifier, OID.authorityKeyIdentifier]
  assert.deepEqual(
    cross.extensions.map(({ oid }) => oid),
    [...wanted, OID.subjectAltName],
  )
})

test("[PRF-11] two levels of what the new root signs verify through it, by the earlier root alone", () => {
  const cross = signTbs(a.root, prepare().redeem(a.root.publicKey.keyIdHex))
  const trusting = (root: CertificateView) => makeBundle(a.trustDomain, [root.der])
  verifyCrossCertificate(cross, trusting(earlier), NOW + 7200)
  const stranger = makeTestCa({ now: NOW }).root.certificate
  assert.throws(() => verifyCrossCertificate(cross, trusting(stranger), NOW + 7200), { code: "unauthenticated" })
  assert.throws(() => verifyCrossCertificate(cross, trusting(earlier), NOW + YEAR + 1), { code: "unauthenticated" })
  const old = parseCertificate(signTbs(a.root, bounded(earlier.tbs)))
  assert.throws(
    () => verifyCrossCertificate(cross, trusting(old), NOW + 7200),
    /does not verify/,
    "its bound leaves no room",
  )
})

test("[PRF-11] is valid only while both roots are", () => {
  prepare({ notBefore: later.notBefore, notAfter: earlier.notAfter })
  violates("PRF-11", { notBefore: later.notBefore - 1 })
  violates("INV-05", { notAfter: earlier.notAfter + 1 })
  const [young, old] = [earlier, later] // the other way round
  const request = { notBefore: old.notBefore, notAfter: young.notAfter + 1 }
  assert.throws(() => IssuancePermit.prepareCross(young, old, crossRequest(request)), { rule: "PRF-11" })
})

test("[PRF-11] nobody vouches for itself, for another trust domain, for what is no root, or beyond a bound", () => {
  const other = makeTestCa({ now: NOW, trustDomain: "other.example" })
  const cases: readonly (readonly [string, CertificateView, CertificateView])[] = [
    ["RINV-09", earlier, earlier],
    ["X5-14", other.root.certificate, earlier],
    ["X5-14", later, other.root.certificate],
    ["PRF-02", a.issuing.certificate, earlier],
    ["X5-13", later, parseCertificate(signTbs(a.root, bounded(earlier.tbs)))],
    ["X5-13", parseCertificate(signTbs(b.root, bounded(later.tbs))), earlier],
  ]
  for (const [rule, root, issuer] of cases) {
    assert.throws(() => IssuancePermit.prepareCross(root, issuer, crossRequest()), { rule })
  }
})

test("[PRF-05] the lint of a cross-certificate refuses every single-bit change of what was authorised", () => {
  const request = crossRequest()
  const { tbs } = IssuancePermit.prepareCross(later, earlier, request)
  lintCrossTbs(tbs, request, later, earlier)
  for (let bit = 0; bit < tbs.length * 8; bit++) {
    const changed = Buffer.from(tbs)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.throws(() => lintCrossTbs(changed, request, later, earlier), `bit ${bit} may change`)
  }
})

function crossRequest(change: Partial<CrossRequest> = {}): CrossRequest {
  const validity = { notBefore: later.notBefore, notAfter: earlier.notAfter }
  return { serial: makeSerial(randomBytes, 1), trustDomain: a.trustDomain, ...validity, ...change }
}

function prepare(change: Partial<CrossRequest> = {}): IssuancePermit {
  return IssuancePermit.prepareCross(later, earlier, crossRequest(change))
}

function violates(rule: string, change: Partial<CrossRequest>): void {
  assert.throws(() => prepare(change), { name: "ProfileViolation", rule })
}
