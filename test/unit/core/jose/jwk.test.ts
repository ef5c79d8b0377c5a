import assert from "node:assert/strict"
import { generateKeyPairSync } from "node:crypto"
import test from "node:test"
import { calculateJwkThumbprint } from "jose"
import { publicJwk, thumbprint } from "../../../../src/core/jose/jwk.ts"

for (const [name, key] of [
  ["P-256", generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey],
  ["P-384", generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey],
  ["RSA", generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey],
] as const) {
  test(`writes a ${name} key with its public members only, and its thumbprint as jose does`, async () => {
    const jwk = publicJwk(key.export({ format: "der", type: "spki" }))
    assert.deepEqual(jwk, key.export({ format: "jwk" }))
    assert.equal(thumbprint(jwk), await calculateJwkThumbprint(jwk))
  })
}

test("refuses a key type that JWT-SVIDs do not know", () => {
  const { publicKey } = generateKeyPairSync("ed25519")
  assert.throws(() => publicJwk(publicKey.export({ format: "der", type: "spki" })), RangeError)
})
