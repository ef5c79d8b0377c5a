import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { IdentityError } from "../../src/core/errors.ts"
import { parseCertificate, splitCertificates } from "../../src/core/x509/certificate.ts"
import { parseCsr } from "../../src/core/x509/csr.ts"
import { walkDer } from "../../src/core/x509/der-walk.ts"
import { parsePem } from "../../src/core/x509/pem.ts"
import { parsePublicKey } from "../../src/core/x509/public-key.ts"
import { X509_REASONS } from "../../src/core/x509/refusal.ts"
import { makeKeyPair, makeTestCa } from "../support/test-ca.ts"
import { makeTestCsr } from "../support/test-csr.ts"

const ca = makeTestCa()
const READERS = {
  certificate: {
    read: parseCertificate,
    seeds: [ca.root.certificate.der, ca.issueLeaf("spiffe://example.org/a", { dnsNames: ["a"] }).certificate.der],
  },
  "list of certificates": { read: splitCertificates, seeds: [ca.root.certificate.der] },
  request: { read: (bytes: Uint8Array) => parseCsr(bytes), seeds: [makeTestCsr()] },
  "public key": {
    read: parsePublicKey,
    seeds: [makeKeyPair().publicKey.spki, makeKeyPair("p384").publicKey.spki, makeKeyPair("rsa").publicKey.spki],
  },
  "uninterpreted DER": { read: walkDer, seeds: [ca.root.certificate.der] },
} as const

/** Change, drop, repeat or insert some octets. */
const mutation = fc.array(
  fc.record({
    at: fc.nat(),
    kind: fc.constantFrom("set", "drop", "insert", "repeat"),
    octet: fc.constantFrom(0, 1, 2, 3, 5, 6, 0x30, 0x31, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xa0, 0xa3, 0xff),
    length: fc.nat(16),
  }),
  { minLength: 1, maxLength: 4 },
)

function mutate(seed: Uint8Array, changes: typeof mutation extends fc.Arbitrary<infer T> ? T : never): Uint8Array {
  let bytes = [...seed]
  for (const { at, kind, octet, length } of changes) {
    const i = bytes.length === 0 ? 0 : at % bytes.length
    const piece =
      kind === "insert" ? [octet] : kind === "set" ? [octet] : kind === "repeat" ? bytes.slice(i, i + 2 * length) : []
    const removed = kind === "insert" ? 0 : kind === "set" ? 1 : kind === "repeat" ? 0 : length
    bytes = [...bytes.slice(0, i), ...piece, ...bytes.slice(i + removed)]
  }
  return Uint8Array.from(bytes)
}

function readsOrRefuses(read: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  try {
    read(bytes)
  } catch (error) {
    assert.ok(error instanceof IdentityError, String(error))
    assert.equal(error.code, "malformed")
    assert.ok(
      X509_REASONS.some((reason) => reason === error.reason),
      `reason ${error.reason}`,
    )
  }
}

for (const [name, { read, seeds }] of Object.entries(READERS)) {
  test(`no change of a ${name} does more than make it malformed`, () => {
    const input = fc.tuple(fc.constantFrom(...seeds), mutation).map(([seed, changes]) => mutate(seed, changes))
    fc.assert(
      fc.property(input, (bytes) => readsOrRefuses(read, bytes)),
      { numRuns: 5000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 512 }), (bytes) => readsOrRefuses(read, bytes)),
      { numRuns: 2000 },
    )
  })
}

test("no text does more to the PEM reader than make it malformed", () => {
  const line = fc.oneof(
    fc.constantFrom("-----BEGIN X-----", "-----END X-----", "AAAA", "AA==", "A: b", ""),
    fc.string({ maxLength: 20 }),
  )
  const text = fc.array(line, { maxLength: 30 }).map((lines) => lines.join("\n"))
  const read = (bytes: string) => () => parsePem(bytes, "X", { maxLength: 10_000, maxBlocks: 4 })
  fc.assert(
    fc.property(text, (bytes) => readsOrRefuses(read(bytes), new Uint8Array())),
    { numRuns: 5000 },
  )
})
