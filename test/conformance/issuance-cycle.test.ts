import assert from "node:assert/strict"
import crypto, { createHash } from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import { test } from "node:test"
import { signNow } from "../../src/adapters/process-keys/crypto-job.ts"
import { processKeys } from "../../src/adapters/process-keys/process-keys.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import { provenKeyMessage } from "../../src/core/x509/csr.ts"
import { encodeSequence } from "../../src/core/x509/der.ts"
import { encodeSubjectAltName } from "../../src/core/x509/extensions.ts"
import { encodeName } from "../../src/core/x509/names.ts"
import { OID } from "../../src/core/x509/oid.ts"
import { type IssueFixture, jwtRequest, NEVER, openIssueFixture, x509Request } from "../support/issue-fixture.ts"
import { refusal } from "../support/refusal.ts"
import { encodeAttribute, makeTestCsr } from "../support/test-csr.ts"

const KINDS = [
  ["x509", (fixture: IssueFixture, change = {}) => fixture.issueX509(x509Request(change), NEVER)],
  ["jwt", (fixture: IssueFixture, change = {}) => fixture.issueJwt(jwtRequest(change), NEVER)],
] as const

test("[ISS-01] refuses a key whose proof is wrong, or made for another token, before anything is recorded", async () => {
  const fixture = await openIssueFixture()
  const { key } = x509Request()
  const other = x509Request().key
  assert.ok(key.kind === "proven-key" && other.kind === "proven-key")
  const wrong = x509Request({ key: { ...key, proof: other.proof } })
  await assert.rejects(fixture.issueX509(wrong, NEVER), refusal("malformed", "signature"))
  const borrowed = { ...x509Request(), token: "another token" }
  await assert.rejects(fixture.issueX509(borrowed, NEVER), refusal("malformed", "signature"))
  assert.deepEqual(fixture.steps, ["attest", "refused malformed", "attest", "refused malformed"])
})

test("[ISS-01] refuses the key of an authority, although its holder proves possession", async () => {
  const fixture = await openIssueFixture()
  const { signer } = fixture.issuing.current()
  const digest = createHash("sha256").update("token").digest()
  const proof = await signer.sign(provenKeyMessage(digest, signer.publicKey), "der")
  const key = { kind: "proven-key", publicKey: signer.publicKey, proof } as const
  await assert.rejects(fixture.issueX509(x509Request({ key }), NEVER), refusal("malformed", "key-blocked"))
  assert.equal(fixture.steps.includes("intent"), false)
})

test("[ISS-01] takes nothing of a request but the key: its subject and the names it asks for do not show", async () => {
  const fixture = await openIssueFixture()
  const names = encodeSubjectAltName([{ kind: "uri", text: "spiffe://prod.example/ns/kube-system/sa/admin" }], true)
  const der = makeTestCsr({
    subject: encodeName({ commonName: "admin" }),
    attributes: [encodeAttribute(OID.extensionRequest, encodeSequence(names))],
  })
  const { chain } = await fixture.issueX509(x509Request({ key: { kind: "csr", der } }), NEVER)
  const leaf = parseCertificate(chain[0] ?? new Uint8Array())
  assert.deepEqual(leaf.uriNames, ["spiffe://prod.example/ns/shop/sa/web"])
  assert.deepEqual(leaf.names.length, 1)
  assert.deepEqual([...leaf.subject], [0x30, 0])
})

for (const [kind, order] of KINDS) {
  test(`[ISS-02] ${kind}: records and signs nothing for evidence that does not attest`, async () => {
    const fixture = await openIssueFixture()
    await assert.rejects(order(fixture, { token: "expired" }), refusal("unauthenticated", "token-expired"))
    assert.deepEqual(fixture.steps, ["attest", "refused unauthenticated"])
  })

  test(`[ISS-03] ${kind}: a refusal is in the audit log before the caller hears of it`, async () => {
    const fixture = await openIssueFixture()
    const spiffeId = parseSpiffeId("spiffe://prod.example/ns/shop/sa/other")
    await assert.rejects(order(fixture, { spiffeId, requestId: "r7" }), refusal("no-identity", "identity-not-granted"))
    assert.deepEqual(fixture.steps, ["attest", "refused no-identity", "audit"])
    assert.deepEqual(fixture.store.events.at(-1), {
      type: "svid.refused",
      kind,
      at: fixture.clock.now(),
      actor: "k8s:main/shop/web/web-0",
      requestId: "r7",
      code: "no-identity",
      reason: "identity-not-granted",
    })
  })

  test(`[ISS-03] ${kind}: while refusals cannot be audited the answer is not-ready, never a silent refusal`, async () => {
    const fixture = await openIssueFixture()
    fixture.store.onWrite = (write) => (write === "audit" ? "lost" : "none")
    const spiffeId = parseSpiffeId("spiffe://prod.example/ns/shop/sa/other")
    await assert.rejects(order(fixture, { spiffeId }), refusal("not-ready"))
  })

  test(`[ISS-04] ${kind}: intent and audit record are durable before the signer is called`, async () => {
    const fixture = await openIssueFixture()
    fixture.onSign = async (tbs) => {
      const [logged] = await fixture.store.issuanceLog.search({ kind, limit: 1 })
      assert.deepEqual(logged?.intent.tbs, tbs)
      const granted = fixture.store.events.at(-1)
      assert.ok(granted?.type === "svid.granted" && granted.serial === logged.intent.serial)
    }
    await order(fixture)
    const signs = fixture.steps.filter((step) => step.startsWith("sign"))
    assert.deepEqual(fixture.steps, ["attest", "intent", ...signs, "outcome", "issued"])
    assert.equal(signs.length, 1)
  })

  for (const fault of ["lost", "kept"] as const) {
    test(`[ISS-04] ${kind}: an intent whose write was ${fault} is never signed, and the retry gets another serial`, async () => {
      const fixture = await openIssueFixture()
      const request = kind === "x509" ? x509Request() : jwtRequest()
      fixture.store.onWrite = (write) => (write === "intent" ? fault : "none")
      await assert.rejects(order(fixture, request), refusal("not-ready", "store-write-failed"))
      assert.deepEqual(fixture.signed, [])
      fixture.store.onWrite = () => "none"
      await order(fixture, request)
      const logged = await fixture.store.issuanceLog.search({ kind, limit: 10 })
      assert.equal(logged.length, fault === "kept" ? 2 : 1)
      assert.equal(logged.filter(({ signature }) => signature !== undefined).length, 1)
      assert.equal(new Set(logged.map(({ intent }) => intent.serial)).size, logged.length)
    })
  }

  test(`[ISS-04] ${kind}: a serial that the random source gives twice is refused, and nothing is overwritten`, async () => {
    const fixture = await openIssueFixture()
    fixture.random = (bytes) => new Uint8Array(bytes).fill(7)
    await order(fixture)
    await assert.rejects(order(fixture), refusal("already-exists"))
    assert.equal(fixture.signed.length, 1)
    assert.equal((await fixture.store.issuanceLog.search({ kind, limit: 10 })).length, 1)
  })

  test(`[ISS-06] ${kind}: a signer that fails leaves an intent without outcome, which counts as issued`, async () => {
    const fixture = await openIssueFixture()
    fixture.onSign = () => {
      throw new Error("signer failed")
    }
    await assert.rejects(order(fixture), /signer failed/)
    const [logged] = await fixture.store.issuanceLog.search({ kind, limit: 1 })
    assert.equal(logged?.signature, undefined)
    const live = { podUid: "pod-uid", unexpiredAt: fixture.clock.now(), limit: 1 }
    assert.equal((await fixture.store.issuanceLog.search(live)).length, 1)
  })
}

test("[ISS-05] the bytes that were recorded are the bytes that were signed and handed out", async () => {
  const fixture = await openIssueFixture()
  const svid = await fixture.issueX509(x509Request(), NEVER)
  const leaf = parseCertificate(svid.chain[0] ?? new Uint8Array())
  const [logged] = await fixture.store.issuanceLog.search({ serial: leaf.serial, limit: 1 })
  assert.deepEqual(Buffer.from(leaf.tbs), Buffer.from(logged?.intent.tbs ?? []))
  assert.deepEqual(Buffer.from(leaf.tbs), Buffer.from(fixture.signed[0] ?? []))
  assert.deepEqual(Buffer.from(leaf.signature), Buffer.from(logged?.signature ?? []))
  const { token } = await fixture.issueJwt(jwtRequest(), NEVER)
  const input = token.slice(0, token.lastIndexOf("."))
  const [jwt] = await fixture.store.issuanceLog.search({ kind: "jwt", limit: 1 })
  assert.equal(Buffer.from(jwt?.intent.tbs ?? []).toString(), input)
})

test("[ISS-06] an issuance that is under way when the issuing authority changes is signed by the one that it names", async () => {
  const fixture = await openIssueFixture()
  const before = fixture.issuing.current()
  fixture.store.onWrite = (write) => {
    if (write === "intent") rotated ??= fixture.issuing.rotate()
    return "none"
  }
  let rotated: Promise<void> | undefined
  const svid = await fixture.issueX509(x509Request(), NEVER)
  await rotated
  assert.notEqual(fixture.issuing.current().authorityId, before.authorityId)
  const [leaf, issuer] = svid.chain.map((der) => new crypto.X509Certificate(der))
  assert.ok(leaf !== undefined && issuer !== undefined && leaf.verify(issuer.publicKey))
  assert.deepEqual(Buffer.from(svid.chain[1] ?? []), Buffer.from(before.certificate))
})

test("[ISS-06] an issuing authority that is out of date signs nothing", async () => {
  const fixture = await openIssueFixture({ issuingTtl: 100 })
  await fixture.clock.advance(100)
  await assert.rejects(fixture.issueX509(x509Request(), NEVER), refusal("not-ready"))
  assert.deepEqual(fixture.signed, [])
})

test("[ISS-07] an RSA signature that does not verify is seen by nobody", async (t) => {
  const signer = await processKeys.makeSigner("rsa-2048")
  const { privateKey } = crypto.generateKeyPairSync("rsa", { modulusLength: 2048 })
  const { sign } = crypto
  t.after(() => {
    crypto.sign = sign
    syncBuiltinESMExports()
  })
  // The native signer cannot be made to fail, so its answer is changed on the way.
  Object.assign(crypto, {
    sign: (hash: string, data: Uint8Array, key: crypto.SignKeyObjectInput, done?: SignDone) => {
      if (done === undefined) return flip(sign(hash, data, key))
      sign(hash, data, key, (error, signature) => done(error, signature === undefined ? signature : flip(signature)))
    },
  })
  syncBuiltinESMExports()
  await assert.rejects(signer.sign(new Uint8Array(10), "der"), /does not verify/)
  assert.throws(() => signNow(privateKey, "rsa-2048", new Uint8Array(10), "der"), /does not verify/)
})

type SignDone = (error: Error | null, signature: Buffer) => void

function flip(bytes: Buffer): Buffer {
  bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40)
  return bytes
}
