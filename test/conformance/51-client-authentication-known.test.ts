import assert from "node:assert/strict"
import { test } from "node:test"
import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { makeProveAccessToken } from "../../src/app/attest/prove-access-token.ts"
import { makeProveJwtSvid } from "../../src/app/attest/prove-jwt-svid.ts"
import { VerifiedTokens } from "../../src/app/attest/verified-tokens.ts"
import type { JwtAuthority } from "../../src/core/spiffe/bundle.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { JwsVerifier } from "../../src/ports/jws.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { assertRejected } from "../support/refused.ts"

const key = makeJwtKey()
const other = makeJwtKey()
const ISSUER = "https://issuer.example"
const ID = "spiffe://prod.example/app"

/** One prover of each kind, over the same keys, with all that may change between two uses of a token. */
function world() {
  const clock = new FakeClock(1_900_000_000)
  const now = clock.now()
  const state = { keys: [key.authority] as readonly JwtAuthority[], revoked: false, denied: false, verified: 0 }
  const inner = makeJwsVerifier()
  const verify: JwsVerifier["verify"] = (jws, keys) => {
    state.verified++
    return inner.verify(jws, keys)
  }
  const bundle = {
    trustDomain: parseTrustDomain("prod.example"),
    x509Authorities: [],
    sequence: 1,
    refreshHint: undefined,
  }
  const common = {
    verifier: { verify },
    revocations: { isRevoked: () => state.revoked },
    deny: async () => state.denied,
    clock,
    issuer: ISSUER,
  }
  const jwtSvid = makeProveJwtSvid({ ...common, bundles: () => [{ ...bundle, jwtAuthorities: state.keys }] })
  const accessToken = makeProveAccessToken({ ...common, authorities: () => state.keys })
  const times = { iat: now, nbf: now, exp: now + 300, jti: "1" }
  const ours = { iss: ISSUER, sub: ID, client_id: ID, aud: "https://api.example", ...times }
  return {
    clock,
    state,
    ways: [
      { prove: jwtSvid, token: key.token({ sub: ID, aud: ["a"], ...times }) },
      { prove: accessToken, token: key.token(ours, { typ: "at+jwt" }) },
    ],
  }
}

test("[SCA-11] a token that is known is held against dates, audience, revocation and bans each time", async () => {
  const { clock, state, ways } = world()
  const denied = (prove: () => Promise<unknown>, reason: string) => assertRejected(prove(), "unauthenticated", reason)
  for (const { prove, token } of ways) {
    const first = await prove(token, () => true)
    assert.deepEqual(await prove(token, () => true), first)
    await denied(() => prove(token, () => false), "token-audience-mismatch")
    state.revoked = true
    await denied(() => prove(token, () => true), "token-revoked")
    Object.assign(state, { revoked: false, denied: true })
    await denied(() => prove(token, () => true), "token-revoked")
    state.denied = false
  }
  assert.equal(state.verified, ways.length)
  await clock.advance(301)
  for (const { prove, token } of ways) await denied(() => prove(token, () => true), "token-expired")
})

test("[SCA-11] a token that is known is verified again when anything changes in the keys", async () => {
  const { state, ways } = world()
  for (const { prove, token } of ways) {
    state.keys = [key.authority]
    await prove(token, () => true)
    state.keys = [other.authority]
    await assertRejected(
      prove(token, () => true),
      "unauthenticated",
      "token-invalid",
    )
    state.keys = [other.authority, key.authority]
    const before = state.verified
    for (let i = 0; i < 3; i++) await prove(token, () => true)
    assert.equal(state.verified, before + 1)
    await assertRejected(
      prove(`${token.slice(0, -1)}.`, () => true),
      "unauthenticated",
      "token-invalid",
    )
  }
})

test("[SCA-11] no more than 4096 tokens are known, of which the one that is known longest is forgotten first", () => {
  const tokens = new VerifiedTokens<number>()
  const keys: readonly JwtAuthority[] = [key.authority]
  for (let i = 0; i <= 4096; i++) tokens.keep(`${i}`, i, keys)
  const find = (digest: string, now = keys) => tokens.find(digest, () => now)
  assert.deepEqual([find("0"), find("1"), find("4096")], [undefined, 1, 4096])
  assert.equal(find("1", [key.authority]), undefined)
})
