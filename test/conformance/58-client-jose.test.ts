import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { makeVerifyAccessToken } from "../../src/client/access-token-verifier.ts"
import { authorizeAny, authorizeMemberOf } from "../../src/client/client.ts"
import { makeIssuerKeys } from "../../src/client/issuer-keys.ts"
import { makeJwtSource } from "../../src/client/jwt-source.ts"
import { makeReplayWindow } from "../../src/client/replay-window.ts"
import { encodeJwtBundle } from "../../src/core/spiffe/bundle-document.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { joseAttacks } from "../support/jose-attacks.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { refusal } from "../support/refusal.ts"

const NOW = 1_800_000_000
const ISSUER = "https://assay.example"
const WEB = "spiffe://example.org/ns/demo/sa/web"
const key = makeJwtKey()
const clock = new FakeClock(NOW)
const dates = { iat: NOW - 10, exp: NOW + 300 }

describe("verifyAccessToken", async () => {
  const header = { typ: "at+jwt" }
  const claims = { iss: ISSUER, sub: WEB, client_id: WEB, aud: "https://api.example", jti: "1", ...dates }
  const others = ["JWT", "wit+jwt", "dpop+jwt", "id_token+jwt", "client-authentication+jwt", "logout+jwt", "AT+JWT "]
  const verify = verifierOf([key])

  test("[CLT-14] accepts a good token", async () => {
    for (const typ of ["at+jwt", "application/at+jwt"]) {
      const { subject, audience, claims: all } = await verify(key.token(claims, { typ }))
      assert.deepEqual([subject, audience, all["jti"]], [WEB, ["https://api.example"], "1"])
    }
  })

  for (const { id, name, token } of joseAttacks({ key, header, claims, otherTypes: others, now: NOW })) {
    test(`[CLT-14] [${id}] refuses ${name}`, async () => {
      await assert.rejects(verify(token), refusal("unauthenticated"))
    })
  }

  test("[CLT-14] [JOS-12] refuses a token without typ, as JWT-SVIDs and ID tokens may be", async () => {
    await assert.rejects(verify(key.token(claims, {})), refusal("unauthenticated", "token-malformed"))
  })

  for (const iss of [
    `${ISSUER}/`,
    ISSUER.toUpperCase(),
    "https://assay.exampl\u0435",
    "https://evil.example",
    undefined,
    [ISSUER],
  ]) {
    test(`[CLT-14] [JOS-11] refuses iss ${JSON.stringify(iss)}`, async () => {
      await assert.rejects(verify(key.token({ ...claims, iss }, header)), refusal("unauthenticated"))
    })
  }

  test("[CLT-14] [JOS-05] refuses everything under two keys with one kid", async () => {
    const twin = makeJwtKey()
    const doubled = verifierOf([key, { ...twin, authority: { ...twin.authority, kid: key.authority.kid } }])
    await assert.rejects(doubled(key.token(claims, header)), refusal("not-ready", "issuer-keys-unavailable"))
  })

  test("[CLT-14] [JOS-13] refuses a subject of another trust domain where only one may be", async () => {
    const own = verifierOf([key], authorizeMemberOf("example.org"))
    assert.equal((await own(key.token(claims, header))).subject, WEB)
    const away = key.token({ ...claims, sub: "spiffe://away.example/web" }, header)
    await assert.rejects(own(away), refusal("policy-denied", "token-subject"))
    const strange = verifierOf([makeJwtKey()])
    await assert.rejects(strange(key.token(claims, header)), refusal("unauthenticated", "token-key-unknown"))
  })
})

describe("JwtSource.validate", async () => {
  const header = { typ: "JWT" }
  const claims = { sub: WEB, aud: "db", ...dates }
  const away = makeJwtKey()
  const others = [
    "at+jwt",
    "application/at+jwt",
    "wit+jwt",
    "dpop+jwt",
    "logout+jwt",
    "client-authentication+jwt",
    "jwt",
  ]

  test("[CLT-11] accepts a good token, whatever JWT-SVIDs may look like", async () => {
    await using source = await sourceOf()
    for (const good of [{}, { typ: "JWT" }, { typ: "JOSE" }]) {
      assert.equal((await source.validate(key.token(claims, good), "db")).spiffeId, WEB)
    }
    const several = key.token({ ...claims, aud: ["db", "web"] }, header)
    assert.deepEqual((await source.validate(several, "web")).audience, ["db", "web"])
  })

  for (const algorithm of ["ES384", "ES512", "RS256"] as const) {
    test(`[CLT-11] [JW-02] accepts a token that is signed by ${algorithm}, and by no other key of its trust domain`, async () => {
      const signer = makeJwtKey(algorithm)
      await using source = await sourceOf([key, signer])
      assert.equal((await source.validate(signer.token(claims, header), "db")).spiffeId, WEB)
      const forged = makeJwtKey(algorithm).token(claims, { ...header, kid: signer.authority.kid })
      await assert.rejects(source.validate(forged, "db"), refusal("malformed"))
    })
  }

  for (const { id, name, token } of joseAttacks({ key, header, claims, otherTypes: others, now: NOW })) {
    test(`[CLT-11] [${id}] refuses ${name}`, async () => {
      await using source = await sourceOf()
      await assert.rejects(source.validate(token, "db"), refusal("malformed"))
    })
  }

  test("[CLT-11] [JOS-13] refuses a token of one trust domain that claims a subject of another", async () => {
    await using source = await sourceOf()
    const guest = { ...claims, sub: "spiffe://away.example/guest" }
    assert.equal((await source.validate(away.token(guest, header), "db")).spiffeId, guest.sub)
    await assert.rejects(source.validate(key.token(guest, header), "db"), refusal("malformed"))
    await assert.rejects(source.validate(away.token(claims, header), "db"), refusal("malformed"))
    const nobody = key.token({ ...claims, sub: "spiffe://nowhere.example/guest" }, header)
    await assert.rejects(source.validate(nobody, "db"), refusal("malformed"))
  })

  function sourceOf(own = [key]) {
    const bundles = new Map(
      Object.entries({ "spiffe://example.org": own, "spiffe://away.example": [away] }).map(([id, keys]) => [
        id,
        encodeJwtBundle({ jwtAuthorities: keys.map(({ authority }) => authority) }),
      ]),
    )
    const api = {
      async *watchJwtBundles(signal: AbortSignal) {
        yield bundles
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()))
      },
      fetchJwt: () => Promise.reject(new Error("not asked for")),
    }
    const terms = { signal: undefined, onProblem: undefined, deadline: 30_000, skew: 10 }
    return makeJwtSource(terms, { api, verifier: makeJwsVerifier(), clock, random: () => Buffer.alloc(6) })
  }
})

function verifierOf(keys: readonly (typeof key)[], subject = authorizeAny()) {
  const verifier = makeJwsVerifier()
  const document = JSON.stringify({
    keys: keys.map(({ authority: { jwk, kid, algorithm } }) => ({ ...jwk, kid, alg: algorithm, use: "sig" })),
  })
  const fetch = async () => new Response(document)
  const terms = { issuer: ISSUER, jwksUri: `${ISSUER}/keys`, fetch, onProblem: undefined }
  const issuerKeys = makeIssuerKeys(terms, { verifier, clock })
  const expected = { issuer: ISSUER, audiences: ["https://api.example"], subject, skew: 10 }
  return makeVerifyAccessToken(expected, { keys: issuerKeys, verifier, replayLog: makeReplayWindow(clock), clock })
}
