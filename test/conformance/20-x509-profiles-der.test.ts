import assert from "node:assert/strict"
import { test } from "node:test"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import { encodeDer, encodeSequence, TAG } from "../../src/core/x509/der.ts"
import { DerReader } from "../../src/core/x509/der-reader.ts"
import { encodeTime, readTime } from "../../src/core/x509/der-time.ts"
import { walkDer } from "../../src/core/x509/der-walk.ts"
import {
  readAuthorityKeyIdentifier,
  readBasicConstraints,
  readExtensions,
  readExtKeyUsage,
  readKeyUsage,
  readSubjectKeyIdentifier,
} from "../../src/core/x509/extension-reader.ts"
import { decodeOid, encodeOid, OID } from "../../src/core/x509/oid.ts"
import type { X509Reason } from "../../src/core/x509/refusal.ts"
import { parseTbs } from "../../src/core/x509/tbs-certificate.ts"
import { assertRefused } from "../support/refused.ts"
import { makeTestCa } from "../support/test-ca.ts"

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(" ", ""), "hex")
const reader = (text: string): DerReader => new DerReader(hex(text))

const NULL = encodeDer(TAG.null)

function elementsOf(sequence: Uint8Array): readonly Uint8Array[] {
  const inside = new DerReader(sequence).enter(TAG.sequence)
  const found: Uint8Array[] = []
  while (!inside.done) found.push(inside.element())
  return found
}

function refuses(reason: X509Reason, read: (reader: DerReader) => unknown, ...inputs: readonly string[]): void {
  for (const input of inputs) assertRefused(() => read(reader(input)), "malformed", reason)
}

test("[DER-01] refuses indefinite, padded and oversized lengths", () => {
  refuses(
    "der-length",
    (r) => r.element(),
    "30 80 0000",
    "04 81 01 00",
    "04 82 0001 00",
    "04 84 00000001 00",
    "04 84 ffffffff",
  )
  assert.equal(new DerReader(encodeDer(TAG.octetString, new Uint8Array(300))).content(TAG.octetString).length, 300)
})

test("[DER-02] refuses bytes after the last element", () => {
  const r = reader("0500 00")
  r.element()
  assertRefused(() => r.end(), "malformed", "der-trailing")
})

test("[DER-02] refuses an element too many in every part of a certificate that has a fixed number", () => {
  const { tbs, signature, signatureAlgorithmDer: algorithm } = makeTestCa().root.certificate
  const fields = elementsOf(tbs)
  const more = (part: Uint8Array): Uint8Array => encodeSequence(...elementsOf(part), NULL)
  const block = Buffer.concat([new DerReader(fields.at(-1) ?? tbs).content(0xa3), NULL])
  for (const changed of [
    [...fields, NULL],
    fields.with(0, hex("a005 020102 0500")),
    fields.with(4, more(fields[4] ?? tbs)),
    fields.with(-1, encodeDer(0xa3, block)),
  ]) {
    assertRefused(() => parseTbs(encodeSequence(...changed)), "malformed", "der-trailing")
  }
  const bits = encodeDer(TAG.bitString, Buffer.concat([Uint8Array.of(0), signature]))
  parseCertificate(encodeSequence(tbs, algorithm, bits))
  assertRefused(() => parseCertificate(encodeSequence(tbs, algorithm, bits, NULL)), "malformed", "der-trailing")
})

test("[DER-03] refuses an element that reaches beyond its parent or the input", () => {
  refuses("der-truncated", (r) => r.element(), "", "04", "04 02 00", "04 82 01", "04 81")
  refuses("der-truncated", (r) => r.enter(TAG.sequence).element(), "30 03 04 02 00 00")
})

test("[DER-04] refuses a BOOLEAN other than 00 and FF", () => {
  refuses("der-boolean", (r) => r.boolean(), "0101 01", "0101 fe", "0100", "0102 ffff")
  assert.equal(reader("0101 ff").boolean(), true)
  assert.equal(reader("0101 00").boolean(), false)
})

test("[DER-05] refuses an INTEGER that is empty or padded", () => {
  refuses("der-integer", (r) => r.integer(), "0200", "0202 0001", "0202 ffff", "0203 000001")
  refuses("der-integer", (r) => r.positiveInteger(), "0201 00", "0201 ff", "0202 8000")
  refuses("der-integer", (r) => r.smallInteger(), "0201 80", "0205 0100000000")
  assert.deepEqual([...reader("0202 00ff").positiveInteger()], [255])
})

test("[DER-06] refuses an OID that is empty, cut, padded or with a huge arc", () => {
  refuses(
    "der-oid",
    (r) => r.oid(),
    "0600",
    "0602 2a86",
    "0603 2a8001",
    "060c 2a 828080808080808080 00 01 01",
    `0641 ${"2a".repeat(65)}`,
  )
  for (const oid of Object.values(OID)) assert.equal(decodeOid(encodeOid(oid).subarray(2)), oid)
})

test("[DER-07] refuses a tag of more than one octet", () => {
  refuses("der-tag", (r) => r.element(), "1f 1f 00", "bf 81 01 00")
})

test("[DER-08] refuses deep nesting and too many elements in what it does not interpret", () => {
  let deep: Uint8Array = encodeSequence()
  for (let i = 0; i < 17; i++) deep = encodeSequence(deep)
  assertRefused(() => walkDer(deep), "malformed", "der-depth")
  for (let i = 0; i < 10_000; i++) deep = encodeSequence(deep)
  assertRefused(() => walkDer(deep), "malformed", "der-depth")
  assertRefused(
    () => walkDer(new Uint8Array(4096).map((_, i) => (i % 2 === 0 ? TAG.null : 0))),
    "malformed",
    "der-size",
  )
})

test("[DER-09] refuses a BIT STRING with unused bits where there are none, and padded named bits", () => {
  refuses("der-bit-string", (r) => r.bitString(), "0300", "0302 01 02")
  refuses(
    "der-bit-string",
    (r) => r.namedBits(),
    "0300",
    "0301 01",
    "0302 06 80",
    "0302 08 80",
    "0302 07 00",
    "0302 00 80",
    "0304 00 000001",
  )
  assert.equal(reader("0302 07 80").namedBits(), 0x8000)
  assert.equal(reader("0303 07 0080").namedBits(), 0x0080)
})

test("[DER-10] writes UTCTime until 2049 and GeneralizedTime from 2050, and reads no other form", () => {
  for (const [at, tag] of [
    [2524607999, TAG.utcTime],
    [2524608000, TAG.generalizedTime],
  ] as const) {
    const encoded = encodeTime(at)
    assert.equal(encoded[0], tag)
    assert.equal(readTime(new DerReader(encoded)), at)
  }
  const time = (tag: number, text: string): Uint8Array => encodeDer(tag, Buffer.from(text))
  for (const text of [
    "2601010000Z",
    "260101000000",
    "260101000000+0000",
    "260230000000Z",
    "261301000000Z",
    "260101240000Z",
    "26010100000aZ",
  ]) {
    assertRefused(() => readTime(new DerReader(time(TAG.utcTime, text))), "malformed", "der-time")
  }
  for (const text of ["20260101000000Z", "20500101000000.5Z", "00500101000000Z"]) {
    assertRefused(() => readTime(new DerReader(time(TAG.generalizedTime, text))), "malformed", "der-time")
  }
  assert.throws(() => encodeTime(-631152001), RangeError)
  assert.throws(() => encodeTime(253402300800), RangeError)
})

test("[DER-11] refuses an extension that stands twice, and more than 32", () => {
  const extension = (last: number): Uint8Array =>
    encodeSequence(encodeOid(`2.5.29.${last}`), encodeDer(TAG.octetString))
  const list = (...lasts: readonly number[]): DerReader => new DerReader(Buffer.concat(lasts.map(extension)))
  assertRefused(() => readExtensions(list(1, 2, 1)), "malformed", "extension")
  assertRefused(() => readExtensions(list(...Array.from({ length: 33 }, (_, i) => i))), "malformed", "extension")
  assert.equal(readExtensions(list(...Array.from({ length: 32 }, (_, i) => i))).length, 32)
})

test("[DER-11] refuses an extension whose value is not as it must be", () => {
  const refusesValue = <T>(read: (value: DerReader) => T, ...values: readonly string[]) =>
    refuses("extension", read, ...values)
  refusesValue(readKeyUsage, "0301 00")
  refusesValue(readExtKeyUsage, "3000")
  refusesValue(readBasicConstraints, "3003 020100", "3006 010100 020100")
  refusesValue(readSubjectKeyIdentifier, "0400", `0441 ${"00".repeat(65)}`)
  refusesValue(readAuthorityKeyIdentifier, "3002 8000", `3043 8041 ${"00".repeat(65)}`)
})

test("[DER-12] refuses another version, a bad serial, two algorithms, and more than 64 KiB", () => {
  const { der } = makeTestCa().root.certificate
  const replace = (from: string, to: string): Uint8Array => hex(Buffer.from(der).toString("hex").replace(from, to))
  assertRefused(() => parseCertificate(replace("a003020102", "a003020101")), "malformed", "certificate-version")
  assertRefused(() => parseCertificate(replace("a003020102021301", "a003020102021380")), "malformed", "der-integer")
  const other = Buffer.from(der).toString("hex")
  const last = other.lastIndexOf("06082a8648ce3d040302")
  const mixed = hex(`${other.slice(0, last)}06082a8648ce3d040303${other.slice(last + 20)}`)
  assertRefused(() => parseCertificate(mixed), "malformed", "signature-algorithm")
  assertRefused(() => parseCertificate(new Uint8Array(65537)), "malformed", "der-size")
  const long = encodeDer(TAG.integer, Uint8Array.from([0x00, 0x80, ...new Uint8Array(19)]))
  const tooLong = Buffer.concat([hex("a003020102"), long])
  assertRefused(
    () => parseCertificate(encodeSequence(encodeSequence(tooLong), encodeSequence(), encodeDer(3, hex("00")))),
    "malformed",
    "serial",
  )
})
