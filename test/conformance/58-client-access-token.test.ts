import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { makeVerifyAccessToken, type TokenProof } from "../../src/client/access-token-verifier.ts"
import { authorizeAny, challengeOf, makeAccessTokenVerifier } from "../../src/client/client.ts"
import { type IssuerKeysTerms, makeIssuerKeys } from "../../src/client/issuer-keys.ts"
import { certificateThumbprint } from "../../src/client/peer.ts"
import { makeReplayWindow } from "../../src/client/replay-window.ts"
import type { IdentityError } from "../../src/core/errors.ts"
import { dpopProof } from "../support/dpop-proof.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { type JwtKey, makeJwtKey } from "../support/jwt-key.ts"
import { refusal } from "../support/refusal.ts"
import { makeTestCa } from "../support/test-ca.ts"

const NOW = 1_800_000_000
const ISSUER = "https://assay.example"
const API = "https://api.example"
const WEB = "spiffe://example.org/ns/demo/sa/web"
const REQUEST = { method: "POST", url: `${API}/orders` }
const key = makeJwtKey()
const holder = makeJwtKey()
const certificate = makeTestCa().issueLeaf(WEB).certificate.der

describe("what binds a token to its bearer", () => {
  const byKey = { cnf: { jkt: holder.authority.kid } }
  const byCertificate = { cnf: { "x5t#S256": certificateThumbprint(certificate) } }
  const dpop = (token: string, claims = {}, header = {}, by = holder): TokenProof => ({
    dpop: { ...REQUEST, proofs: [dpopProof(by, { ...REQUEST, token, now: NOW }, claims, header)] },
  })

  test("[CLT-15] accepts a bound token with the proof that it asks for", async () => {
    const { verify } = rig()
    const bound = tokenOf(byKey)
    assert.deepEqual((await verify(bound, dpop(bound))).confirmation, { kind: "dpop", jkt: holder.authority.kid })
    const certified = tokenOf(byCertificate)
    assert.equal((await verify(certified, { clientCertificate: certificate })).confirmation?.kind, "mtls")
    const peer = { thumbprint: certificateThumbprint(certificate) }
    assert.equal((await verify(certified, { clientCertificate: peer })).confirmation?.kind, "mtls")
    const stranger = { clientCertificate: { thumbprint: "" } }
    await assert.rejects(verify(certified, stranger), refusal("unauthenticated", "certificate-mismatch"))
    const both = { ...dpop(bound), clientCertificate: certificate }
    assert.equal((await verify(bound, both)).confirmation?.kind, "dpop")
  })

  test("[CLT-15] refuses a bound token without its proof, or with another's", async () => {
    const { verify } = rig()
    const bound = tokenOf(byKey)
    await assert.rejects(verify(bound), refusal("unauthenticated", "dpop-proof-missing"))
    await assert.rejects(
      verify(bound, { dpop: { ...REQUEST, proofs: [] } }),
      refusal("unauthenticated", "dpop-proof-missing"),
    )
    await assert.rejects(
      verify(bound, { clientCertificate: certificate }),
      refusal("unauthenticated", "dpop-proof-missing"),
    )
    const another = dpop(bound, {}, {}, makeJwtKey())
    await assert.rejects(verify(bound, another), refusal("unauthenticated", "dpop-key-mismatch"))
    const certified = tokenOf(byCertificate)
    await assert.rejects(verify(certified), refusal("unauthenticated", "certificate-missing"))
    const stranger = makeTestCa().issueLeaf(WEB).certificate.der
    const mismatch = refusal("unauthenticated", "certificate-mismatch")
    await assert.rejects(verify(certified, { clientCertificate: stranger }), mismatch)
    await assert.rejects(verify(certified, { clientCertificate: new Uint8Array() }), mismatch)
  })

  for (const [what, claims, header, reason] of [
    ["for another method", { htm: "GET" }, {}, "dpop-method-mismatch"],
    ["for another URL", { htu: `${API}/admin` }, {}, "dpop-url-mismatch"],
    ["that is too old", { iat: NOW - 120 }, {}, "dpop-out-of-window"],
    ["from the future", { iat: NOW + 120 }, {}, "dpop-out-of-window"],
    ["for another token", { ath: "AAAA" }, {}, "dpop-token-mismatch"],
    ["for no token", { ath: undefined }, {}, "dpop-token-mismatch"],
    ["without jti", { jti: undefined }, {}, "dpop-malformed"],
    ["of another type", {}, { typ: "JWT" }, "dpop-malformed"],
    ["with a private key", {}, { jwk: { ...holder.authority.jwk, d: "AAAA" } }, "dpop-key-refused"],
    ["with the key of another", {}, { jwk: makeJwtKey().authority.jwk }, "dpop-signature-invalid"],
    ["with alg none", {}, { alg: "none" }, "dpop-malformed"],
  ] satisfies [string, object, object, string][]) {
    test(`[CLT-15] refuses a proof ${what}`, async () => {
      const token = tokenOf(byKey)
      await assert.rejects(rig().verify(token, dpop(token, claims, header)), refusal("malformed", reason))
    })
  }

  test("[CLT-15] a proof is good once, and two are none", async () => {
    const { verify, clock } = rig()
    const token = tokenOf(byKey)
    const once = dpop(token)
    await verify(token, once)
    await assert.rejects(verify(token, once), refusal("malformed", "dpop-replayed"))
    await clock.advance(59)
    await assert.rejects(verify(token, once), refusal("malformed", "dpop-replayed"))
    await clock.advance(2)
    await assert.rejects(verify(token, once), refusal("malformed", "dpop-out-of-window"))
    const proofs = [0, 1].map(() => dpopProof(holder, { ...REQUEST, token, now: NOW }))
    await assert.rejects(verify(token, { dpop: { ...REQUEST, proofs } }), refusal("malformed", "dpop-header-repeated"))
  })

  test("[CLT-15] remembers 100,000 proofs and refuses more, but forgets none", async () => {
    const clock = new FakeClock(NOW)
    const window = makeReplayWindow(clock)
    const claim = (id: number) => window.claim({ use: "dpop-proof", id: String(id), from: NOW, until: NOW + 60 })
    for (let i = 0; i < 100_000; i++) await claim(i)
    await assert.rejects(claim(100_000), refusal("rate-limited"))
    assert.equal(await claim(0), "replayed")
    await clock.advance(61)
    assert.equal(await window.claim({ use: "dpop-proof", id: "0", from: NOW, until: NOW + 200 }), "claimed")
  })

  test("[CLT-16] refuses a token that is bound to no key together with a proof", async () => {
    const { verify } = rig()
    const plain = tokenOf({})
    await assert.rejects(verify(plain, dpop(plain)), refusal("unauthenticated", "token-not-bound"))
    const certified = tokenOf(byCertificate)
    const both = { ...dpop(certified), clientCertificate: certificate }
    await assert.rejects(verify(certified, both), refusal("unauthenticated", "token-not-bound"))
    assert.equal((await verify(plain, { clientCertificate: certificate })).confirmation, undefined)
  })

  for (const cnf of [
    {},
    { jwk: {} },
    { jkt: "" },
    { jkt: 1 },
    { ...byKey.cnf, ...byCertificate.cnf },
    "x",
    null,
    { kid: "a" },
  ]) {
    test(`[CLT-15] refuses a binding that is not known: ${JSON.stringify(cnf).slice(0, 40)}`, async () => {
      const token = tokenOf({ cnf })
      const proof = { ...dpop(token), clientCertificate: certificate }
      await assert.rejects(rig().verify(token, proof), refusal("unauthenticated", "token-malformed"))
    })
  }
})

describe("what a verifier says", () => {
  test("[CLT-14] names each refusal by a stable reason", async () => {
    const { verify } = rig()
    const refused = (claims: object, reason: string) =>
      assert.rejects(verify(tokenOf(claims)), refusal("unauthenticated", reason))
    await refused({ iss: "https://other.example" }, "token-issuer")
    await refused({ aud: "https://other.example" }, "token-audience")
    await refused({ exp: NOW }, "token-expired")
    await refused({ iat: NOW + 11, nbf: undefined }, "token-not-yet-valid")
    await refused({ nbf: NOW + 11 }, "token-not-yet-valid")
    await refused({ sub: "web" }, "token-malformed")
    await verify(tokenOf({ iat: NOW + 10, nbf: NOW + 10 }))
    await verify(tokenOf({ aud: ["https://other.example", API] }))
  })

  test("[CLT-17] has an answer for the caller of each refusal", async () => {
    const { verify } = rig()
    const challenge = async (asked: Promise<unknown>) => challengeOf(await asked.catch((thrown: unknown) => thrown))
    const expired = await challenge(verify(tokenOf({ exp: NOW })))
    assert.equal(expired.status, 401)
    assert.match(expired.header ?? "", /^Bearer error="invalid_token", error_description="[ !#-[\]-~]+"$/)
    const bound = tokenOf({ cnf: { jkt: holder.authority.kid } })
    assert.match((await challenge(verify(bound))).header ?? "", /^DPoP error="invalid_token"/)
    const other = { dpop: { ...REQUEST, proofs: [dpopProof(makeJwtKey(), { ...REQUEST, token: bound, now: NOW })] } }
    assert.match((await challenge(verify(bound, other))).header ?? "", /^DPoP error="invalid_token"/)
    const stale = { dpop: { ...REQUEST, proofs: [dpopProof(holder, { ...REQUEST, token: bound, now: NOW - 120 })] } }
    assert.deepEqual(await challenge(verify(bound, stale)), { status: 401, header: 'DPoP error="invalid_dpop_proof"' })
    const nobody = rig({ subject: () => false })
    assert.equal((await challenge(nobody.verify(tokenOf({})))).status, 403)
    const away = rig({ fetch: () => Promise.reject(new Error("away")) })
    assert.deepEqual(await challenge(away.verify(tokenOf({}))), { status: 503, header: undefined })
    assert.deepEqual(challengeOf(new TypeError("a bug")), { status: 503, header: undefined })
  })

  test("[CLT-14] refuses options that are none", () => {
    const make = (options: object) => () => makeAccessTokenVerifier({ issuer: ISSUER, audience: API, ...options })
    make({})()
    for (const options of [
      { issuer: "http://assay.example" },
      { issuer: "assay" },
      { audience: [] },
      { audience: "" },
      { jwksUri: "http://assay.example/keys" },
      { clockSkew: 61 },
    ]) {
      assert.throws(make(options), refusal("malformed"))
    }
  })
})

describe("the keys of an issuer", () => {
  test("[CLT-18] are found by discovery, read when the first token comes, and once for all", async () => {
    const { verify, asked } = rig({ jwksUri: undefined })
    assert.deepEqual(asked, [])
    await Promise.all(Array.from({ length: 10 }, () => verify(tokenOf({}))))
    assert.deepEqual(asked, [`${ISSUER}/.well-known/openid-configuration`, `${ISSUER}/keys`])
  })

  test("[CLT-18] are read anew for a key that is not known, but not twice in 30 seconds", async () => {
    const { verify, asked, clock, keys } = rig()
    await verify(tokenOf({}))
    const next = makeJwtKey()
    const unknown = refusal("unauthenticated", "token-key-unknown")
    await assert.rejects(verify(tokenOf({}, next)), unknown)
    assert.equal(asked.length, 1)
    keys.push(next)
    await clock.advance(30)
    await verify(tokenOf({}, next))
    for (let i = 0; i < 20; i++) await assert.rejects(verify(tokenOf({}, makeJwtKey())), unknown)
    assert.equal(asked.length, 2)
  })

  test("[CLT-18] that were taken away are trusted for 5 minutes at the most", async () => {
    const { verify, clock, keys } = rig()
    await verify(tokenOf({}))
    keys.splice(0, 1, makeJwtKey())
    await clock.advance(299)
    await verify(tokenOf({}))
    await clock.advance(1)
    await assert.rejects(verify(tokenOf({ exp: NOW + 900 })), refusal("unauthenticated", "token-key-unknown"))
  })

  test("[CLT-18] serve for up to an hour when they cannot be read", async () => {
    const problems: IdentityError[] = []
    const { verify, clock, answers } = rig({ onProblem: (error) => problems.push(error) })
    await verify(tokenOf({}))
    answers.status = 500
    await clock.advance(3599)
    await verify(tokenOf({ iat: NOW, exp: NOW + 9000 }))
    assert.equal(problems[0]?.code, "not-ready")
    await clock.advance(1)
    const token = tokenOf({ exp: NOW + 9000 })
    await assert.rejects(verify(token), refusal("not-ready", "issuer-keys-unavailable"))
    answers.status = 200
    await clock.advance(30)
    await verify(token)
  })

  for (const [what, change] of [
    ["another issuer's document", { issuer: `${ISSUER}/` }],
    ["a document without keys", { jwks_uri: undefined }],
    ["keys over http", { jwks_uri: "http://assay.example/keys" }],
  ] as const) {
    test(`[CLT-18] are not taken from ${what}`, async () => {
      const { verify } = rig({ jwksUri: undefined }, change)
      await assert.rejects(verify(tokenOf({})), refusal("not-ready", "issuer-keys-unavailable"))
    })
  }

  test("[CLT-18] are not taken from an answer that is too long, or redirects", async () => {
    const long = rig({ fetch: async () => new Response("x".repeat(513 * 1024)) })
    await assert.rejects(long.verify(tokenOf({})), refusal("not-ready", "issuer-keys-unavailable"))
    let redirect: RequestInit["redirect"]
    const { verify } = rig({
      fetch: async (_url, init) => {
        redirect = init.redirect
        return new Response(null, { status: 302, headers: { location: "https://evil.example" } })
      },
    })
    await assert.rejects(verify(tokenOf({})), refusal("not-ready", "issuer-keys-unavailable"))
    assert.equal(redirect, "error")
  })
})

function tokenOf(claims: object, by: JwtKey = key): string {
  const good = {
    iss: ISSUER,
    sub: WEB,
    client_id: WEB,
    aud: API,
    jti: "1",
    iat: NOW - 10,
    nbf: NOW - 10,
    exp: NOW + 600,
  }
  return by.token({ ...good, ...claims }, { typ: "at+jwt" })
}

interface RigOptions extends Partial<IssuerKeysTerms> {
  readonly subject?: () => boolean
}

/** @param metadata laid over the discovery document */
function rig(options: RigOptions = {}, metadata: object = {}) {
  const clock = new FakeClock(NOW)
  const verifier = makeJwsVerifier()
  const keys = [key]
  const asked: string[] = []
  const answers = { status: 200 }
  const fetch = async (url: string) => {
    asked.push(url)
    const jwks = { keys: keys.map(({ authority: { jwk, kid, algorithm } }) => ({ ...jwk, kid, alg: algorithm })) }
    const found = { issuer: ISSUER, jwks_uri: `${ISSUER}/keys`, ...metadata }
    return new Response(JSON.stringify(url.endsWith("/keys") ? jwks : found), { status: answers.status })
  }
  const { subject = authorizeAny(), ...terms } = options
  const all = { issuer: ISSUER, jwksUri: `${ISSUER}/keys`, fetch, onProblem: undefined, ...terms }
  const deps = { keys: makeIssuerKeys(all, { verifier, clock }), verifier, replayLog: makeReplayWindow(clock), clock }
  const verify = makeVerifyAccessToken({ issuer: ISSUER, audiences: [API], subject, skew: 10 }, deps)
  return { verify, clock, keys, asked, answers }
}
