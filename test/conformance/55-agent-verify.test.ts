import assert from "node:assert/strict"
import { test } from "node:test"
import { verifyIssued } from "../../src/app/agent/verify-issued.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { makeKeyPair, makeTestCa } from "../support/test-ca.ts"

const NOW = 1_800_000_000
const ID = "spiffe://example.org/a"
const ca = makeTestCa({ now: NOW })
const leaf = ca.issueLeaf(ID)
const { notAfter, spki } = leaf.certificate
const issued = { spiffeId: parseSpiffeId(ID), hint: "", serial: "01", chain: leaf.chain, notAfter, epoch: 1 }

test("[AGT-12] takes an SVID that verifies, for the identity and the key that were ordered", () => {
  verifyIssued(issued, spki, ca.bundle, NOW)
})

test("[AGT-12] refuses an SVID for another key, for another identity, with another expiry, or that does not verify", () => {
  const refused = (message: RegExp) => ({ code: "unauthenticated", message })
  const { publicKey } = makeKeyPair()
  assert.throws(() => verifyIssued(issued, publicKey.spki, ca.bundle, NOW), refused(/another key/))
  const other = { ...issued, spiffeId: parseSpiffeId(`${ID}/b`) }
  assert.throws(() => verifyIssued(other, spki, ca.bundle, NOW), refused(/another identity/))
  assert.throws(() => verifyIssued({ ...issued, notAfter: notAfter + 1 }, spki, ca.bundle, NOW), refused(/expiry/))
  assert.throws(() => verifyIssued(issued, spki, makeTestCa({ now: NOW }).bundle, NOW), refused(/does not verify/))
})
