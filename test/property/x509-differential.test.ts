import "reflect-metadata"
import assert from "node:assert/strict"
import { X509Certificate as NodeCertificate, webcrypto } from "node:crypto"
import { test } from "node:test"
import * as x509 from "@peculiar/x509"
import fc from "fast-check"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { assembleCertificate } from "../../src/core/x509/assemble.ts"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import type { LeafRequest } from "../../src/core/x509/leaf-template.ts"
import { makeSerial } from "../../src/core/x509/serial.ts"
import { makeKeyPair, makeTestCa, signTbs } from "../support/test-ca.ts"

const YEAR_2050 = 2524608000
const ca = makeTestCa({ now: YEAR_2050 })
const KEYS = [makeKeyPair(), makeKeyPair(), makeKeyPair("p384"), makeKeyPair("rsa")]

const segment = fc.stringMatching(/^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,30}$/)
const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$/)
const request: fc.Arbitrary<LeafRequest> = fc
  .record({
    path: fc.array(segment, { minLength: 1, maxLength: 8 }),
    dnsNames: fc.uniqueArray(
      fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join(".")),
      { maxLength: 5 },
    ),
    random: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    prefix: fc.integer({ min: 1, max: 255 }),
    key: fc.constantFrom(...KEYS),
    notBefore: fc.oneof(fc.integer({ min: 0, max: 4e9 }), fc.integer({ min: YEAR_2050 - 100, max: YEAR_2050 + 100 })),
    life: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 1e8 })),
  })
  .map(({ path, dnsNames, random, prefix, key, notBefore, life }) => ({
    serial: makeSerial(() => random, prefix),
    spiffeId: parseSpiffeId(`spiffe://example.org/${path.join("/")}`),
    dnsNames,
    publicKey: key.publicKey,
    notBefore,
    notAfter: notBefore + life,
  }))

// The signature is not looked at here, and one for all saves nine tenths of the time.
const SIGNED = ca.issueLeaf("spiffe://example.org/a").certificate.signature
const assemble = (wanted: LeafRequest): Uint8Array => assembleCertificate(ca.template.encodeTbs(wanted), SIGNED)

function compareWithLibrary(der: Uint8Array, wanted: LeafRequest): void {
  const theirs = new x509.X509Certificate(Buffer.from(der))
  const ours = parseCertificate(der)
  assert.equal(BigInt(`0x${theirs.serialNumber}`), BigInt(`0x${wanted.serial}`))
  assert.equal(theirs.notBefore.getTime(), wanted.notBefore * 1000)
  assert.equal(theirs.notAfter.getTime(), wanted.notAfter * 1000)
  assert.deepEqual([theirs.subject, theirs.issuer], ["", ISSUER])
  assert.equal(Buffer.compare(Buffer.from(theirs.publicKey.rawData), wanted.publicKey.spki), 0)
  const names = theirs.getExtension(x509.SubjectAlternativeNameExtension)
  assert.equal(names?.critical, true)
  const wantedNames = [["url", wanted.spiffeId], ...wanted.dnsNames.map((name) => ["dns", name])]
  assert.deepEqual(
    names.names.items.map(({ type, value }) => [type, value]),
    wantedNames,
  )
  const ski = theirs.getExtension(x509.SubjectKeyIdentifierExtension)
  assert.equal(ski?.keyId, wanted.publicKey.keyIdHex)
  assert.equal(theirs.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId, ca.template.authorityId)
  assert.equal(theirs.getExtension(x509.KeyUsagesExtension)?.usages, x509.KeyUsageFlags.digitalSignature)
  assert.equal(theirs.getExtension(x509.BasicConstraintsExtension)?.ca, false)
  const purposes = theirs.getExtension(x509.ExtendedKeyUsageExtension)?.usages
  assert.deepEqual([...(purposes ?? [])], [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth])
  assert.deepEqual([ours.serial, ours.notBefore, ours.notAfter], [wanted.serial, wanted.notBefore, wanted.notAfter])
  assert.deepEqual([ours.uriNames, ours.dnsNames], [[wanted.spiffeId], wanted.dnsNames])
}

const ISSUER = new x509.X509Certificate(Buffer.from(ca.issuing.certificate.der)).subject

test("10,000 random leaves say to @peculiar/x509 what was asked for, field by field", () => {
  fc.assert(
    fc.property(request, (wanted) => compareWithLibrary(assemble(wanted), wanted)),
    { numRuns: 10_000 },
  )
})

test("a leaf is byte for byte what @peculiar/x509 writes for equal fields", async () => {
  x509.cryptoProvider.set(webcrypto as Crypto) // the same object under the name of the DOM
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
  const pkcs8 = ca.issuing.privateKey.export({ format: "der", type: "pkcs8" })
  const signingKey = await webcrypto.subtle.importKey("pkcs8", pkcs8, algorithm, true, ["sign"])
  const ecKeys = KEYS.filter(({ publicKey }) => publicKey.algorithm === "ec-p256")
  for (const wanted of fc.sample(request, { numRuns: 50 })) {
    const publicKey = ecKeys.find((key) => key.publicKey === wanted.publicKey)?.publicKey ?? ecKeys[0]?.publicKey
    assert.ok(publicKey)
    const leaf = { ...wanted, publicKey }
    const key = await webcrypto.subtle.importKey("spki", Buffer.from(publicKey.spki), algorithm, true, ["verify"])
    const theirs = await x509.X509CertificateGenerator.create({
      serialNumber: leaf.serial,
      issuer: new x509.X509Certificate(Buffer.from(ca.issuing.certificate.der)).subjectName,
      notBefore: new Date(leaf.notBefore * 1000),
      notAfter: new Date(leaf.notAfter * 1000),
      publicKey: key,
      signingKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.SubjectKeyIdentifierExtension(publicKey.keyIdHex),
        new x509.AuthorityKeyIdentifierExtension(ca.template.authorityId),
        new x509.SubjectAlternativeNameExtension(
          [{ type: "url", value: leaf.spiffeId }, ...leaf.dnsNames.map((value) => ({ type: "dns", value }) as const)],
          true,
        ),
      ],
    })
    const ours = ca.template.encodeTbs(leaf)
    assert.equal(
      Buffer.from(parseCertificate(new Uint8Array(theirs.rawData)).tbs).toString("hex"),
      Buffer.from(ours).toString("hex"),
    )
  }
})

test("node reads the names and checks the signature of random leaves", () => {
  for (const wanted of fc.sample(request, { numRuns: 200 })) {
    const node = new NodeCertificate(Buffer.from(signTbs(ca.issuing, ca.template.encodeTbs(wanted))))
    assert.ok(node.verify(ca.issuing.publicKey.keyObject))
    assert.ok(node.checkIssued(new NodeCertificate(Buffer.from(ca.issuing.certificate.der))))
    const names = [`URI:${wanted.spiffeId}`, ...wanted.dnsNames.map((name) => `DNS:${name}`)]
    assert.equal(node.subjectAltName, names.join(", "))
    assert.equal(BigInt(`0x${node.serialNumber}`), BigInt(`0x${wanted.serial}`))
  }
})
