import assert from "node:assert/strict"
import { createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto"
import test from "node:test"
import { CryptoThread } from "../../../../src/adapters/process-keys/crypto-thread.ts"
import { Secret } from "../../../../src/core/secret.ts"
import { refusal } from "../../../support/refusal.ts"

const DATA = Buffer.from("what is signed")

for (const [algorithm, digest] of [
  ["ec-p256", "sha256"],
  ["ec-p384", "sha384"],
  ["rsa-2048", "sha256"],
] as const) {
  test(`a ${algorithm} key made in the thread signs, and only its public half comes out`, async () => {
    await using thread = new CryptoThread()
    const signer = await thread.makeSigner(algorithm)
    const key = createPublicKey({ key: Buffer.from(signer.publicKey), format: "der", type: "spki" })
    for (const [form, dsaEncoding] of [
      ["der", "der"],
      ["p1363", "ieee-p1363"],
    ] as const) {
      assert.ok(verify(digest, DATA, { key, dsaEncoding }, await signer.sign(DATA, form)))
    }
  })
}

test("a key that is given to the thread signs as itself, and the copy that travelled is wiped", async () => {
  await using thread = new CryptoThread()
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const pkcs8 = new Secret(privateKey.export({ type: "pkcs8", format: "der" }))
  const signer = await thread.loadSigner(pkcs8, "ec-p256")
  assert.ok(verify("sha256", DATA, publicKey, await signer.sign(DATA, "der")))
})

test("a key that was let go of signs what was asked before, and nothing after", async () => {
  await using thread = new CryptoThread()
  const [kept, gone] = await Promise.all([thread.makeSigner("ec-p256"), thread.makeSigner("ec-p256")])
  const before = gone.sign(DATA, "der")
  gone.forget()
  const key = createPublicKey({ key: Buffer.from(gone.publicKey), format: "der", type: "spki" })
  assert.ok(verify("sha256", DATA, key, await before))
  await assert.rejects(gone.sign(DATA, "der"), /no such key/)
  assert.ok((await kept.sign(DATA, "der")).length > 60)
})

test("tells a wrong signature from a key that is none, in any mix", async () => {
  await using thread = new CryptoThread()
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const spki = publicKey.export({ type: "spki", format: "der" })
  const signature = sign("sha256", DATA, privateKey)
  const offCurve = Buffer.from(spki)
  offCurve.writeUInt8(offCurve.readUInt8(90) ^ 1, 90)
  const verdicts = await Promise.all(
    Array.from({ length: 90 }, (_, i) => {
      if (i % 3 === 0) return thread.verify(spki, DATA, signature, "ecdsa-sha256")
      if (i % 3 === 1) return thread.verify(spki, Buffer.from("something else"), signature, "ecdsa-sha256")
      return thread.verify(offCurve, DATA, signature, "ecdsa-sha256")
    }),
  )
  const expected = Array.from({ length: 90 }, (_, i) => ["valid", "wrong-signature", "wrong-key"][i % 3])
  assert.deepEqual(verdicts, expected)
})

test("once it has ended, everybody who waits or asks is told", async () => {
  const thread = new CryptoThread()
  const signer = await thread.makeSigner("ec-p256")
  const waiting = signer.sign(DATA, "der")
  const told = assert.rejects(waiting, refusal("not-ready", "crypto-dead"))
  await thread[Symbol.asyncDispose]()
  await told
  await assert.rejects(signer.sign(DATA, "der"), refusal("not-ready", "crypto-dead"))
  assert.equal(thread.failure?.reason, "crypto-dead")
})
