import assert from "node:assert/strict"
import { test } from "node:test"
import { splitCertificates } from "../../../../src/core/x509/certificate.ts"
import { encodeSequence } from "../../../../src/core/x509/der.ts"
import { assertRefused } from "../../../support/refused.ts"

test("splits at most 256 certificates that stand one after another", () => {
  const many = (count: number): Uint8Array => Buffer.concat(new Array<Uint8Array>(count).fill(encodeSequence()))
  assert.equal(splitCertificates(many(256)).length, 256)
  assertRefused(() => splitCertificates(many(257)), "malformed", "der-size")
})
