import assert from "node:assert/strict"
import { createPrivateKey, createPublicKey, webcrypto } from "node:crypto"
import { test } from "node:test"
import { inspect } from "node:util"
import { processKeys } from "../../../../src/adapters/process-keys/process-keys.ts"
import { makeSoftwareKeys } from "../../../../src/adapters/process-keys/software-keys.ts"
import { chooseCryptoProvider } from "../../../../src/adapters/webcrypto/provider.ts"
import { Secret } from "../../../../src/core/secret.ts"
import { refusal } from "../../../support/refusal.ts"

test("a workload key is the private half of its public key and does not print", async () => {
  const key = await processKeys.makeWorkloadKey("ec-p256")
  const spki = key.pkcs8.expose((bytes) =>
    createPublicKey(createPrivateKey({ key: Buffer.from(bytes), format: "der", type: "pkcs8" })).export({
      type: "spki",
      format: "der",
    }),
  )
  assert.deepEqual(Buffer.from(key.publicKey), spki)
  assert.match(inspect(key), /pkcs8: \[secret\]/)
})

test("each provider makes keys that load as their own algorithm and as no other", async () => {
  for (const name of ["native", "peculiar"] as const) {
    const software = makeSoftwareKeys({ crypto: await chooseCryptoProvider(name) })
    const pkcs8 = await software.generate("ec-p384")
    assert.equal((await software.load(pkcs8, "ec-p384")).algorithm, "ec-p384")
    await assert.rejects(software.load(pkcs8, "ec-p256"), refusal("malformed"))
  }
})

test("refuses bytes that are no key and does not quote them", async () => {
  const software = makeSoftwareKeys({ crypto: webcrypto })
  await assert.rejects(software.load(new Secret(new Uint8Array(20)), "ec-p256"), refusal("malformed"))
})
