import assert from "node:assert/strict"
import { test } from "node:test"
import { parseBundleText } from "../../../../src/adapters/identity-client/parse-bundle-text.ts"
import { encodeBundle } from "../../../../src/core/spiffe/bundle-document.ts"
import { encodePem } from "../../../../src/core/x509/pem.ts"
import { makeTestCa } from "../../../support/test-ca.ts"

const { bundle, trustDomain } = makeTestCa()
const roots = bundle.x509Authorities.map((der) => Buffer.from(der))

test("a SPIFFE bundle document gives its X.509 authorities", () => {
  const found = parseBundleText(`\n${encodeBundle(bundle)}\n`, trustDomain)
  assert.deepEqual(
    found.map((der) => Buffer.from(der)),
    roots,
  )
})

test("PEM certificates give the same authorities", () => {
  const pem = bundle.x509Authorities.map((der) => encodePem("CERTIFICATE", der)).join("")
  assert.deepEqual(
    parseBundleText(pem, trustDomain).map((der) => Buffer.from(der)),
    roots,
  )
})

test("refuses JSON that is no bundle document, and text that is neither", () => {
  assert.throws(() => parseBundleText('{"keys":{}}', trustDomain), { code: "malformed" })
  assert.throws(() => parseBundleText("roots", trustDomain), { code: "malformed" })
})
