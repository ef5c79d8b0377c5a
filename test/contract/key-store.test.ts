import assert from "node:assert/strict"
import { createPublicKey, verify } from "node:crypto"
import { describe, test } from "node:test"
import { openDiskKeys } from "../../src/adapters/disk-keys/open-disk-keys.ts"
import { parseSealingKey } from "../../src/adapters/disk-keys/sealing-key.ts"
import { makeSoftwareKeys } from "../../src/adapters/process-keys/software-keys.ts"
import { chooseCryptoProvider } from "../../src/adapters/webcrypto/provider.ts"
import type { KeyStore } from "../../src/ports/keys.ts"
import { refusal } from "../support/refusal.ts"
import { makeScratch } from "../support/scratch.ts"

for (const provider of ["native", "peculiar"] as const) {
  describe(`key store: disk, ${provider}`, () => {
    for (const [algorithm, hash] of [
      ["ec-p256", "sha256"],
      ["ec-p384", "sha384"],
      ["rsa-2048", "sha256"],
    ] as const) {
      test(`signs with ${algorithm} after it was opened again, in both forms`, async () => {
        await using scratch = await makeScratch()
        const made = await (await openAt(scratch.directory)).create("root-1", algorithm)
        const signer = await (await openAt(scratch.directory)).open("root-1")
        assert.deepEqual(signer.publicKey, made.publicKey)
        assert.equal(signer.algorithm, algorithm)
        const key = createPublicKey({ key: Buffer.from(signer.publicKey), format: "der", type: "spki" })
        const data = Buffer.from("to be signed")
        const der = await signer.sign(data, "der")
        const p1363 = await signer.sign(data, "p1363")
        assert.ok(verify(hash, data, { key, dsaEncoding: "der" }, der))
        assert.ok(verify(hash, data, { key, dsaEncoding: "ieee-p1363" }, p1363))
      })
    }

    test("creates a key once, lists keys in order, and forgets what is destroyed", async () => {
      await using scratch = await makeScratch()
      const keys = await openAt(scratch.directory)
      const first = await keys.create("b", "ec-p256")
      await assert.rejects(keys.create("b", "ec-p384"), refusal("already-exists"))
      await keys.create("a", "ec-p256")
      assert.deepEqual(await keys.list(), ["a", "b"])
      assert.deepEqual((await keys.open("b")).publicKey, first.publicKey)
      await keys.destroy("b")
      await keys.destroy("b")
      await assert.rejects(keys.open("b"), refusal("not-found"))
      assert.deepEqual(await keys.list(), ["a"])
    })

    test("refuses a key id that is no plain name", async () => {
      await using scratch = await makeScratch()
      const keys = await openAt(scratch.directory)
      for (const id of ["", "../x", "a/b", "A", "a.b", "x".repeat(101)]) {
        await assert.rejects(keys.create(id, "ec-p256"), refusal("malformed"), id)
        await assert.rejects(keys.open(id), refusal("malformed"), id)
      }
    })
  })

  async function openAt(directory: string): Promise<KeyStore> {
    const software = makeSoftwareKeys({ crypto: await chooseCryptoProvider(provider) })
    return openDiskKeys({ directory, sealingKey: parseSealingKey("ab".repeat(32)), software })
  }
}
