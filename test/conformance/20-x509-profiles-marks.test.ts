import assert from "node:assert/strict"
import { test } from "node:test"
import { IdentityError } from "../../src/core/errors.ts"
import { encodeTime } from "../../src/core/x509/der-time.ts"
import { encodeLeafConstraints, encodeSubjectAltName } from "../../src/core/x509/extensions.ts"
import { verifySvidChain } from "../../src/core/x509/path.ts"
import { withExtensions } from "../support/bounded-root.ts"
import { makeBundle, makeTestCa, signTbs } from "../support/test-ca.ts"

// Each certificate here is wrong in one thing alone, and signed by the key that should.

const NOW = 1_800_000_000
const ca = makeTestCa({ now: NOW })
const leaf = ca.issueLeaf("spiffe://example.org/a")
const { root, issuing } = ca

/** Beginnings of extensions, up to the mark, in hex. */
const KEY_USAGE = "0603551d0f"
const CONSTRAINTS = "0603551d13"
const NAMES = "0603551d11"

type Change = (tbs: Buffer) => Uint8Array

const withLeaf = (change: Change) => [
  signTbs(issuing, change(Buffer.from(leaf.certificate.tbs))),
  issuing.certificate.der,
]
const withIssuing = (change: Change) => [
  leaf.certificate.der,
  signTbs(root, change(Buffer.from(issuing.certificate.tbs))),
]
const withRoot = (change: Change) =>
  makeBundle(ca.trustDomain, [signTbs(root, change(Buffer.from(root.certificate.tbs)))])

/** The extension says of itself that it may be passed over. */
function unmarked(extension: string): Change {
  return (tbs) => replaced(tbs, Buffer.from(`${extension}0101ff`, "hex"), Buffer.from(`${extension}010100`, "hex"))
}

/** Another extension in the place of the one that begins so. */
function exchanged(extension: string, by: Uint8Array): Change {
  const begins = (one: Uint8Array) => Buffer.from(one).includes(Buffer.from(extension, "hex"))
  return (tbs) => withExtensions(tbs, (all) => all.map((one) => (begins(one) ? by : one)))
}

/** A critical extension that nobody knows, beside those that belong there. */
function strange(tbs: Buffer): Uint8Array {
  return withExtensions(tbs, (all) => [...all, Buffer.from("300c0603551d630101ff04020500", "hex")])
}

function ended(tbs: Buffer): Uint8Array {
  const [found, wanted] = [issuing.certificate.notAfter, NOW - 1].map((at) => Buffer.from(encodeTime(at)))
  return replaced(tbs, found, wanted)
}

function replaced(tbs: Buffer, from: Buffer | undefined, to: Buffer | undefined): Uint8Array {
  const at = from === undefined ? -1 : tbs.indexOf(from)
  assert.ok(at >= 0 && to !== undefined && from?.length === to.length, "nothing to replace")
  const changed = Buffer.from(tbs)
  changed.set(to, at)
  return changed
}

function refuses(chain: readonly Uint8Array[], detail: RegExp, bundle = ca.bundle): void {
  assert.throws(
    () => verifySvidChain(chain, bundle, NOW),
    (error) => {
      assert.ok(error instanceof IdentityError)
      assert.match(error.cause instanceof Error ? error.cause.message : error.message, detail)
      return true
    },
  )
}

test("[X5-16] the chains of these tests verify when nothing is changed", () => {
  const same: Change = (tbs) => withExtensions(tbs, (all) => all)
  for (const chain of [withLeaf(same), withIssuing(same)]) verifySvidChain(chain, ca.bundle, NOW)
  verifySvidChain(leaf.chain, withRoot(same), NOW)
})

test("[X5-04] refuses a leaf without subject whose names are not critical", () => {
  refuses(withLeaf(unmarked(NAMES)), /names of the leaf are not critical/)
})

test("[X5-07] refuses a leaf whose key usage is not critical", () => {
  refuses(withLeaf(unmarked(KEY_USAGE)), /key usage of the leaf is not critical/)
})

test("[X5-11] refuses an issuer in chain or bundle that says to be no authority, or says that it is one in passing", () => {
  const [noAuthority, inPassing] = [exchanged(CONSTRAINTS, encodeLeafConstraints()), unmarked(CONSTRAINTS)]
  refuses(withIssuing(noAuthority), /issuer is no authority/)
  refuses(withIssuing(inPassing), /basic constraints of the issuer are not critical/)
  refuses(leaf.chain, /issuer is no authority/, withRoot(noAuthority))
  refuses(leaf.chain, /basic constraints of the issuer are not critical/, withRoot(inPassing))
})

test("[X5-12] refuses an issuer in chain or bundle whose key usage is not critical", () => {
  refuses(withIssuing(unmarked(KEY_USAGE)), /key usage of the issuer is not critical/)
  refuses(leaf.chain, /key usage of the issuer is not critical/, withRoot(unmarked(KEY_USAGE)))
})

test("[X5-14] refuses an issuer that has another SPIFFE ID beside that of its trust domain", () => {
  const ids = ["spiffe://example.org", "spiffe://other.org"].map((text) => ({ kind: "uri", text }) as const)
  for (const names of [ids, ids.toReversed()]) {
    refuses(withIssuing(exchanged(NAMES, encodeSubjectAltName(names, false))), /another ID/)
  }
})

test("[X5-15] a leaf that stands in the bundle vouches for nobody, not even for itself", () => {
  refuses(leaf.chain.slice(0, 1), /does not end in the bundle/, makeBundle(ca.trustDomain, leaf.chain.slice(0, 1)))
})

test("[X5-16] refuses an issuer in chain or bundle that has a critical extension which nobody knows", () => {
  refuses(withIssuing(strange), /2\.5\.29\.99 is not understood/)
  refuses(leaf.chain, /2\.5\.29\.99 is not understood/, withRoot(strange))
})

test("[X5-16] refuses a chain whose issuing authority has expired, though leaf and root have not", () => {
  refuses(withIssuing(ended), /expired/)
})
