import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { PLANTED_FORMS, SecretHunt } from "../../support/secret-hunt.ts"

for (const [form, plant] of Object.entries(PLANTED_FORMS)) {
  test(`finds a secret that is planted as ${form}, and no other`, () => {
    for (let i = 0; i < 50; i++) {
      const secret = randomBytes(16 + i)
      const hunt = new SecretHunt()
      hunt.add("planted", secret)
      hunt.add("other", randomBytes(32))
      const bytes = Buffer.concat([randomBytes(100), Buffer.from("{"), Buffer.from(plant(secret)), randomBytes(100)])
      const names = new Set(hunt.search([{ place: "here", bytes }]).map(({ name, place }) => `${name} ${place}`))
      assert.deepEqual([...names], ["planted here"])
    }
  })
}

test("finds nothing in what has no secret, and refuses to hunt for what is found by chance", () => {
  const hunt = new SecretHunt()
  hunt.add("secret", randomBytes(16))
  assert.deepEqual(hunt.search([{ place: "noise", bytes: randomBytes(1_000_000) }]), [])
  assert.throws(() => hunt.add("short", "123456789012345"), RangeError)
})

test("finds the signature of a token, as text and as bytes", () => {
  const hunt = new SecretHunt()
  const signature = randomBytes(64)
  hunt.addToken("token", `eyJhbGciOiJFUzI1NiJ9.e30.${signature.toString("base64url")}`)
  assert.equal(hunt.search([{ place: "text", bytes: Buffer.from(signature.toString("base64url")) }]).length > 0, true)
  assert.equal(hunt.search([{ place: "bytes", bytes: signature }]).length > 0, true)
  assert.deepEqual(hunt.search([{ place: "head", bytes: Buffer.from("eyJhbGciOiJFUzI1NiJ9.e30.") }]), [])
})
