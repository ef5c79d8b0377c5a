import assert from "node:assert/strict"
import { test } from "node:test"
import { rememberVerified } from "../../src/adapters/jose/remember-verified.ts"
import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { parseJwtSvid } from "../../src/core/jose/jwt-svid.ts"
import type { JwsVerifier } from "../../src/ports/jws.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { assertRejected } from "../support/refused.ts"

const key = makeJwtKey()
const other = makeJwtKey()
const claims = { sub: "spiffe://prod.example/app", aud: "a", exp: 9_999_999_999 }

test("[SCA-11] a token that was verified is verified again only when its key is no longer trusted", async () => {
  const { verifier, calls } = counting()
  const { jws } = parseJwtSvid(key.token(claims))
  for (let i = 0; i < 3; i++) await verifier.verify(jws, [other.authority, key.authority])
  assert.equal(calls(), 1)
  await assertRejected(verifier.verify(jws, [other.authority]), "unauthenticated", "key-unknown")
  const copy = { ...key.authority }
  await verifier.verify(jws, [copy])
  assert.equal(calls(), 3)
})

test("[SCA-11] nothing is remembered of a token that does not verify, or that differs by one byte", async () => {
  const { verifier, calls } = counting()
  const good = key.token(claims)
  await verifier.verify(parseJwtSvid(good).jws, [key.authority])
  const [header, , signature] = good.split(".")
  const payload = Buffer.from(JSON.stringify({ ...claims, sub: "spiffe://prod.example/root" })).toString("base64url")
  for (let i = 0; i < 2; i++) {
    const { jws } = parseJwtSvid(`${header}.${payload}.${signature}`)
    await assertRejected(verifier.verify(jws, [key.authority]), "unauthenticated", "signature-invalid")
  }
  assert.equal(calls(), 3)
})

test("[SCA-11] a token that was verified is not known by another signature", async () => {
  const { verifier, calls } = counting()
  const good = key.token(claims)
  await verifier.verify(parseJwtSvid(good).jws, [key.authority])
  const forged = `${good.slice(0, good.lastIndexOf("."))}.${Buffer.alloc(64, 1).toString("base64url")}`
  await assertRejected(
    verifier.verify(parseJwtSvid(forged).jws, [key.authority]),
    "unauthenticated",
    "signature-invalid",
  )
  assert.equal(calls(), 2)
})

test("[SCA-11] nothing is remembered of a token that either of two keys of one name can have signed", async () => {
  const { verifier, calls } = counting()
  const named = { ...other.authority, kid: key.authority.kid }
  const { jws } = parseJwtSvid(key.token(claims))
  await verifier.verify(jws, [named, key.authority])
  await assertRejected(verifier.verify(jws, [named]), "unauthenticated", "signature-invalid")
  assert.equal(calls(), 2)
})

test("[SCA-11] forgets the longest unused first", async () => {
  const { verifier, calls } = counting(2)
  const [one, two, three] = [1, 2, 3].map((jti) => parseJwtSvid(key.token({ ...claims, jti })).jws)
  assert.ok(one !== undefined && two !== undefined && three !== undefined)
  for (const jws of [one, two, one, three, one]) await verifier.verify(jws, [key.authority])
  assert.equal(calls(), 3)
  await verifier.verify(two, [key.authority])
  assert.equal(calls(), 4)
})

function counting(max = 100): { readonly verifier: JwsVerifier; readonly calls: () => number } {
  const inner = makeJwsVerifier()
  let count = 0
  const verify: JwsVerifier["verify"] = (jws, keys) => {
    count++
    return inner.verify(jws, keys)
  }
  return { verifier: rememberVerified({ verify }, max), calls: () => count }
}
