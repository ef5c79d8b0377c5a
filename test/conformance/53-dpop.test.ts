import assert from "node:assert/strict"
import { createHash, randomUUID } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { deriveSharedKey } from "../../src/adapters/disk-keys/derived-key.ts"
import { isDpopNonce, makeDpopNonce } from "../../src/core/oauth/dpop-nonce.ts"
import { checkDpopTerms, type DpopTerms, parseDpopProof } from "../../src/core/oauth/dpop-proof.ts"
import { ASSERTION_TYPES, GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { Secret } from "../../src/core/secret.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { type JwtKey, makeJwtKey } from "../support/jwt-key.ts"
import { assertRefused } from "../support/refused.ts"
import { API, claimsOf, ISSUER, openTokenServer, spiffeJwt, type TokenServer } from "../support/token-server.ts"
import { openTokenWorld, WORLD_NOW } from "../support/token-world.ts"

const ASK = { grant_type: "client_credentials", audience: API }
const URL = `${ISSUER}/token`

let server: TokenServer
const key = makeJwtKey()
before(async () => {
  server = await openTokenServer()
})
after(() => server[Symbol.asyncDispose]())

test("[DP-01][DP-02] binds a token to the key of a proof", async () => {
  const { status, body } = await ask(proof({}))
  assert.equal(status, 200)
  assert.equal(body["token_type"], "DPoP")
  assert.deepEqual(claimsOf(body["access_token"])["cnf"], { jkt: key.authority.kid })
})

for (const [what, claims, header, reason] of [
  ["for another method", { htm: "GET" }, {}, "dpop-method-mismatch"],
  ["for another URL", { htu: `${ISSUER}/introspect` }, {}, "dpop-url-mismatch"],
  ["that is too old", { iat: now() - 120 }, {}, "dpop-out-of-window"],
  ["from the future", { iat: now() + 120 }, {}, "dpop-out-of-window"],
  ["with a key for signing", {}, { jwk: { ...key.authority.jwk, key_ops: ["sign"] } }, "dpop-key-refused"],
  ["with a key for more", {}, { jwk: { ...key.authority.jwk, key_ops: ["verify", "sign"] } }, "dpop-key-refused"],
  ["with a key with another member", {}, { jwk: { ...key.authority.jwk, ext: "true" } }, "dpop-key-refused"],
  ["without jti", { jti: undefined }, {}, "dpop-malformed"],
  ["without iat", { iat: undefined }, {}, "dpop-malformed"],
  ["of another type", {}, { typ: "JWT" }, "dpop-malformed"],
  ["without a key", {}, { jwk: undefined }, "dpop-malformed"],
  ["with a private key", {}, { jwk: { ...key.authority.jwk, d: "AAAA" } }, "dpop-key-refused"],
  ["with a symmetric key", {}, { jwk: { kty: "oct", k: "AAAA" } }, "dpop-key-refused"],
  ["with the key of another", {}, { jwk: makeJwtKey().authority.jwk }, "dpop-signature-invalid"],
  ["with alg none", {}, { alg: "none" }, "dpop-malformed"],
  ["with HS256", {}, { alg: "HS256" }, "dpop-malformed"],
  ["that names where its key is", {}, { jku: "https://evil.example" }, "dpop-malformed"],
] satisfies [string, object, object, string][]) {
  test(`[DP-01][DP-05] refuses a proof ${what}`, async () => {
    const { status, body } = await ask(proof(claims, header))
    assert.deepEqual([status, body["error"], body["reason"]], [400, "invalid_dpop_proof", reason])
  })
}

test("[DP-05] takes a key as Web Crypto exports it", async () => {
  const { publicKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ])
  const exported = await crypto.subtle.exportKey("jwk", publicKey)
  assert.deepEqual([exported.key_ops, exported.ext], [["verify"], true])
  const jwk = { ...key.authority.jwk, key_ops: exported.key_ops, ext: exported.ext }
  const { status, body } = await ask(proof({}, { jwk }))
  assert.equal(status, 200)
  assert.deepEqual(claimsOf(body["access_token"])["cnf"], { jkt: key.authority.kid })
})

test("[DP-01] takes the proof of a client whose clock differs by half a minute, and of no other", () => {
  const terms = { method: "POST", url: URL, accessToken: undefined, now: 1000 }
  const check = (iat: number) => checkDpopTerms(parseDpopProof(proof({ iat })), terms)
  for (const iat of [970, 1030, 940]) check(iat)
  for (const iat of [1031, 939]) assertRefused(() => check(iat), "malformed", "dpop-out-of-window")
})

test("[DP-02] refuses more than one proof", async () => {
  const { status, body } = await ask(`${proof({})}, ${proof({})}`)
  assert.deepEqual([status, body["error"], body["reason"]], [400, "invalid_dpop_proof", "dpop-header-repeated"])
})

test("[DP-03] lists the algorithms that it takes, and takes them", async () => {
  const rsa = makeJwtKey("RS256")
  assert.equal((await ask(proof({}, {}, rsa))).status, 200)
})

test("[DP-04] a proof is good once", async () => {
  const once = proof({})
  assert.equal((await ask(once)).status, 200)
  const { status, body } = await ask(once)
  assert.deepEqual([status, body["error"], body["reason"]], [400, "invalid_dpop_proof", "dpop-replayed"])
})

test("[DP-10] who is not known has no proof written down, and uses up nobody's", async () => {
  const shown = proof({})
  const exchange = { grant_type: GRANT_TYPES["token-exchange"], audience: API }
  const garbage = { ...exchange, subject_token: "x", subject_token_type: TOKEN_TYPES.jwt }
  for (const [form, status, reason] of [
    [garbage, 400, "token-invalid"],
    [ASK, 401, "client-authentication-missing"],
    [{ ...ASK, ...spiffeJwt("x") }, 401, "token-invalid"],
  ] as const) {
    const refused = await server.post("/token", form, { dpop: shown })
    assert.deepEqual([refused.status, refused.body["reason"]], [status, reason])
  }
  assert.equal((await ask(shown)).status, 200)
  assert.equal((await ask(shown)).body["reason"], "dpop-replayed")
})

test("[RPL-07] what comes too fast is refused before it is spent, and is good when it comes again", async () => {
  const clock = new FakeClock(WORLD_NOW)
  await using world = await openTokenWorld(clock)
  await world.server.reload({ limits: { identity_rate: "1/s", identity_burst: 1 } })
  const bearer = { grant_type: GRANT_TYPES["jwt-bearer"], audience: API }
  const own = { client_assertion_type: ASSERTION_TYPES.jwtBearer, grant_type: "client_credentials", audience: API }
  const once: readonly (() => () => Promise<unknown>)[] = [
    () => {
      const form = { ...own, client_assertion: world.token("client assertion") }
      return () => world.ask(form)
    },
    () => {
      const form = { ...bearer, assertion: world.token("outside token") }
      return () => world.ask(form)
    },
    () => {
      const dpop = [world.token("DPoP proof")]
      return () => world.ask({ ...ASK, ...world.authentication() }, { dpop })
    },
  ]
  for (const make of once) {
    const [first, second] = [make(), make()]
    await first()
    await assert.rejects(second(), { code: "rate-limited", reason: undefined })
    await clock.advance(1)
    await second()
    await assert.rejects(second(), { code: "rate-limited", reason: undefined })
    await clock.advance(1)
    await assert.rejects(second(), { reason: /-replayed$/ })
  }
})

test("[DP-04][DP-08] a nonce comes with the answer, and is good on a replica with the same sealing key", async () => {
  const { headers } = await ask(proof({}))
  const nonce = headers.get("dpop-nonce")
  assert.ok(nonce !== null)
  assert.equal((await ask(proof({ nonce }))).status, 200)
  const sealing = new Secret(Buffer.alloc(32, 7))
  const replicas = [1, 2].map(() => deriveSharedKey(sealing, "dpop nonce v1"))
  const [one, two] = replicas
  assert.ok(one !== undefined && two !== undefined)
  const made = makeDpopNonce(one, 6000)
  assert.deepEqual(
    [5941, 6059, 6119, 6121].map((at) => isDpopNonce(made, two, at)),
    [true, true, true, false],
  )
})

test("[DP-08] a nonce comes with the answers of the other endpoints, too", async () => {
  const accept = "application/token-introspection+jwt"
  for (const [path, headers] of [
    ["/introspect", {}],
    ["/introspect", { accept }],
    ["/revoke", {}],
  ] satisfies [string, Record<string, string>][]) {
    const client_assertion = await server.jwtSvid()
    const body = new URLSearchParams({
      token: "x",
      client_assertion,
      client_assertion_type: ASSERTION_TYPES.jwtSpiffe,
    })
    const answer = await server.fetch(`${ISSUER}${path}`, { method: "POST", body, headers: { dpop: "x", ...headers } })
    assert.deepEqual([answer.status, answer.headers.has("dpop-nonce")], [200, true], path)
  }
})

test("[DP-08] demands a nonce when it is configured to, and answers with one", async () => {
  await using strict = await openTokenServer({ oauth: { dpop_nonce: "required" } })
  const send = async (dpop: string) => strict.post("/token", { ...ASK, ...spiffeJwt(await strict.jwtSvid()) }, { dpop })
  for (const nonce of [undefined, "stale"]) {
    const { status, body, headers } = await send(proof({ nonce }))
    assert.deepEqual([status, body["error"]], [400, "use_dpop_nonce"])
    assert.ok(headers.has("dpop-nonce"))
  }
  const nonce = (await send(proof({}))).headers.get("dpop-nonce")
  assert.equal((await send(proof({ nonce }))).status, 200)
  await using off = await openTokenServer({ oauth: { dpop_nonce: "off" } })
  const answer = await off.post("/token", { ...ASK, ...spiffeJwt(await off.jwtSvid()) }, { dpop: proof({}) })
  assert.deepEqual([answer.status, answer.headers.has("dpop-nonce")], [200, false])
})

test("[DP-10] an assertion that is good once comes again with the nonce that its first answer told", async () => {
  const { kid, jwk } = key.authority
  await using strict = await openTokenServer({
    files: (folder) =>
      writeFile(join(folder, "clients.jwks"), JSON.stringify({ keys: [{ ...jwk, kid, alg: "ES256" }] })),
    oauth: {
      dpop_nonce: "required",
      clients: [
        {
          client_id: "billing",
          spiffe_id: "spiffe://prod.example/vm/billing",
          keys: { jwks_file: "folder:clients.jwks" },
        },
      ],
    },
  })
  const claims = { iss: "billing", sub: "billing", aud: ISSUER, iat: now(), exp: now() + 60, jti: randomUUID() }
  const form = { ...ASK, client_assertion_type: ASSERTION_TYPES.jwtBearer, client_assertion: key.token(claims) }
  const first = await strict.post("/token", form, { dpop: proof({}) })
  assert.deepEqual([first.status, first.body["error"]], [400, "use_dpop_nonce"])
  const nonce = first.headers.get("dpop-nonce")
  assert.equal((await strict.post("/token", form, { dpop: proof({ nonce }) })).status, 200)
  const again = await strict.post("/token", form, { dpop: proof({ nonce }) })
  assert.deepEqual([again.status, again.body["reason"]], [401, "client-assertion-replayed"])
})

test("[DP-09] the key of nonces is another than the sealing key, and the same for every replica", () => {
  const sealing = new Secret(Buffer.alloc(32, 7))
  const bytes = [1, 2].map(() =>
    deriveSharedKey(sealing, "dpop nonce v1").expose((one) => Buffer.from(one).toString("hex")),
  )
  assert.equal(bytes[0], bytes[1])
  assert.notEqual(bytes[0], Buffer.alloc(32, 7).toString("hex"))
})

test("[DP-06] compares URLs without query, fragment and the scheme's own port", () => {
  for (const htu of [
    "https://assay.example:443/token",
    "HTTPS://ASSAY.example/token?a=b#c",
    "https://assay.example/x/../token",
  ]) {
    checkDpopTerms(parseDpopProof(proof({ htu })), terms({}))
  }
  for (const htu of [
    "http://assay.example/token",
    "https://assay.example/Token",
    "https://u@assay.example/token",
    "/token",
  ]) {
    assertRefused(() => checkDpopTerms(parseDpopProof(proof({ htu })), terms({})), "malformed", "dpop-url-mismatch")
  }
})

test("[DP-07] a proof beside an access token is for that token", () => {
  const accessToken = "header.payload.signature"
  const ath = createHash("sha256").update(accessToken).digest("base64url")
  checkDpopTerms(parseDpopProof(proof({ ath })), terms({ accessToken }))
  for (const wrong of [undefined, "x"]) {
    const parsed = parseDpopProof(proof({ ath: wrong }))
    assertRefused(() => checkDpopTerms(parsed, terms({ accessToken })), "malformed", "dpop-token-mismatch")
  }
})

test("[TX-15] a subject token that is bound to a DPoP key needs a proof of that key", async () => {
  const bound = await ask(proof({}), { audience: ISSUER })
  const subject = { subject_token: String(bound.body["access_token"]), subject_token_type: TOKEN_TYPES.accessToken }
  const exchange = { grant_type: GRANT_TYPES["token-exchange"], ...subject }
  assert.equal((await ask(proof({}), exchange)).status, 200)
  const other = await ask(proof({}, {}, makeJwtKey()), exchange)
  assert.deepEqual([other.status, other.body["reason"]], [400, "proof-of-possession-missing"])
  const bare = await server.post("/token", { ...ASK, ...spiffeJwt(await server.jwtSvid()), ...exchange })
  assert.deepEqual([bare.status, bare.body["reason"]], [400, "proof-of-possession-missing"])
})

async function ask(dpop: string, form: Readonly<Record<string, string>> = {}) {
  return server.post("/token", { ...ASK, ...spiffeJwt(await server.jwtSvid()), ...form }, { dpop })
}

function proof(claims: object, header: object = {}, by: JwtKey = key): string {
  const { algorithm, jwk } = by.authority
  const own = { jti: randomUUID(), htm: "POST", htu: URL, iat: now() }
  return by.token({ ...own, ...claims }, { alg: algorithm, kid: undefined, typ: "dpop+jwt", jwk, ...header })
}

function terms(change: Partial<DpopTerms>): DpopTerms {
  return { method: "POST", url: URL, accessToken: undefined, now: now(), ...change }
}

function now(): number {
  return Math.floor(Date.now() / 1000)
}
