import assert from "node:assert/strict"
import { test } from "node:test"
import { parseCsr, verifyCsr } from "../../src/core/x509/csr.ts"
import { encodeDer, encodeSequence, TAG } from "../../src/core/x509/der.ts"
import { encodeAuthorityConstraints, encodeSubjectAltName } from "../../src/core/x509/extensions.ts"
import { encodeOid, OID } from "../../src/core/x509/oid.ts"
import { encodePem, parsePem } from "../../src/core/x509/pem.ts"
import { assertRefused, assertRejected } from "../support/refused.ts"
import { makeKeyPair } from "../support/test-ca.ts"
import { encodeAttribute, makeTestCsr } from "../support/test-csr.ts"

const PEM_BOUNDS = { maxLength: 16384, maxBlocks: 1 }
const rdn = (tag: number, value: Uint8Array): Uint8Array =>
  encodeDer(TAG.set, encodeSequence(encodeOid(OID.commonName), encodeDer(tag, value)))

test("[CSR-01] refuses a request that its own key did not sign, or whose algorithm is of another kind", async () => {
  const keyPair = makeKeyPair()
  assert.equal((await verifyCsr(parseCsr(makeTestCsr({ keyPair })))).keyIdHex, keyPair.publicKey.keyIdHex)
  await assertRejected(verifyCsr(parseCsr(makeTestCsr({ signer: makeKeyPair() }))), "malformed", "signature")
  await assertRejected(verifyCsr(parseCsr(makeTestCsr({ algorithm: "ecdsa-sha384" }))), "malformed", "signature")
  await assertRejected(
    verifyCsr(parseCsr(makeTestCsr({ algorithm: "rsa-sha256" }))),
    "malformed",
    "signature-algorithm",
  )
})

test("[CSR-02][CSR-03] applies the key policy to the key of a request", async () => {
  const spki = Buffer.from(makeKeyPair().publicKey.spki)
  const good = parseCsr(makeTestCsr())
  const offCurve = Buffer.from(spki).fill(1, 27)
  await assertRejected(verifyCsr({ ...good, spki: offCurve }), "malformed", "key-point")
  const weakRsa = Buffer.from(makeKeyPair("rsa").publicKey.spki)
  weakRsa[weakRsa.length - 1] = 3
  await assertRejected(verifyCsr({ ...good, spki: weakRsa }), "malformed", "key-exponent")
})

test("[CSR-04] ignores what a request asks for, and refuses it asked twice", async () => {
  const san = encodeSubjectAltName([{ kind: "uri", text: "spiffe://example.org/root" }], true)
  const wanted = encodeSequence(san, encodeAuthorityConstraints(0))
  const request = encodeAttribute(OID.extensionRequest, wanted)
  const csr = parseCsr(makeTestCsr({ attributes: [request] }))
  await verifyCsr(csr)
  assert.deepEqual(Object.keys(csr).sort(), ["info", "signature", "signatureAlgorithm", "spki"])
  assertRefused(() => parseCsr(makeTestCsr({ attributes: [request, request] })), "malformed", "csr-attributes")
  const twice = encodeAttribute(OID.extensionRequest, encodeSequence(san, san))
  assertRefused(() => parseCsr(makeTestCsr({ attributes: [twice] })), "malformed", "extension")
  const two = encodeAttribute(OID.extensionRequest, wanted, wanted)
  assertRefused(() => parseCsr(makeTestCsr({ attributes: [two] })), "malformed", "der-trailing")
  const many = Array.from({ length: 9 }, (_, i) => encodeAttribute(`1.2.3.${i}`))
  assertRefused(() => parseCsr(makeTestCsr({ attributes: many })), "malformed", "csr-attributes")
})

test("[CSR-05] refuses a subject with NUL, BMPString, text that is not UTF-8, or too many parts", () => {
  const bad = [
    rdn(TAG.utf8String, Buffer.from("a\0b")),
    rdn(TAG.utf8String, Uint8Array.of(0xc0, 0x80)),
    rdn(TAG.printableString, Buffer.from("a@b")),
    rdn(TAG.utf8String, Buffer.alloc(0)),
    rdn(TAG.utf8String, Buffer.alloc(257, "a")),
    encodeDer(TAG.set),
  ]
  for (const part of bad) {
    assertRefused(() => parseCsr(makeTestCsr({ subject: encodeSequence(part) })), "malformed", "name")
  }
  const bmp = encodeSequence(rdn(0x1e, Buffer.from("\0a", "latin1")))
  assertRefused(() => parseCsr(makeTestCsr({ subject: bmp })), "malformed", "der-tag")
  const part = rdn(TAG.utf8String, Buffer.from("a"))
  assertRefused(
    () => parseCsr(makeTestCsr({ subject: encodeSequence(...new Array(17).fill(part)) })),
    "malformed",
    "name",
  )
})

test("[CSR-06] reads requests by the DER rules", () => {
  const good = makeTestCsr()
  assertRefused(() => parseCsr(Buffer.concat([good, Uint8Array.of(0)])), "malformed", "der-trailing")
  assertRefused(() => parseCsr(Buffer.concat([Uint8Array.of(0x30, 0x80), good.subarray(3)])), "malformed", "der-length")
  assertRefused(() => parseCsr(makeTestCsr({ version: 1 })), "malformed", "csr-version")
  assertRefused(() => parseCsr(new Uint8Array()), "malformed", "der-truncated")
  for (let end = 1; end < good.length; end++)
    assertRefused(() => parseCsr(good.subarray(0, end)), "malformed", "der-truncated")
})

test("[CSR-07] refuses a long request, and PEM with headers, several blocks, or half a block", () => {
  assertRefused(() => parseCsr(new Uint8Array(8193)), "malformed", "der-size")
  const csr = makeTestCsr()
  const pem = encodePem("CERTIFICATE REQUEST", csr)
  const read = (text: string) => () => parsePem(text, "CERTIFICATE REQUEST", PEM_BOUNDS)
  assert.deepEqual(read(pem)(), [csr])
  assert.deepEqual(read(pem.replaceAll("\n", "\r\n"))(), [csr])
  const headers = "A: b\n".repeat(1000)
  const bad = [
    pem + pem,
    pem.replace("-----\n", `-----\n${headers}\n`),
    pem.slice(0, -30),
    pem.replace("BEGIN CERTIFICATE REQUEST", "BEGIN CERTIFICATE"),
    pem.replace("M", "\0"),
    "-----BEGIN CERTIFICATE REQUEST-----\n".repeat(400),
    "-----END CERTIFICATE REQUEST-----\n",
    "",
    "-".repeat(16385),
  ]
  for (const text of bad) assertRefused(read(text), "malformed", "pem")
})
