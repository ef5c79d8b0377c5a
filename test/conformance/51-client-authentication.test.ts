import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { ASSERTION_TYPES } from "../../src/core/oauth/urns.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import { type JwtKey, makeJwtKey } from "../support/jwt-key.ts"
import { makeTestCa } from "../support/test-ca.ts"
import {
  API,
  answerOf,
  claimsOf,
  type FormFields,
  ISSUER,
  openTokenServer,
  spiffeJwt,
  type TokenServer,
} from "../support/token-server.ts"

const ASK = { grant_type: "client_credentials", audience: API }
const WEB = "spiffe://prod.example/ns/shop/sa/web"
const OTHER = "spiffe://other.example/app"

const CLIENT = {
  client_id: "billing",
  spiffe_id: "spiffe://prod.example/vm/billing",
  keys: { jwks_file: "folder:clients.jwks" },
}

let server: TokenServer
const federated = makeJwtKey()
const registered = makeJwtKey()
before(async () => {
  server = await openTokenServer({ files: writeKeys, oauth: { clients: [CLIENT] } })
  const bundle = {
    trustDomain: parseTrustDomain("other.example"),
    x509Authorities: [],
    jwtAuthorities: [federated.authority],
  }
  await server.pipeline.trust.setFederated([{ ...bundle, sequence: 1, refreshHint: undefined }])
})
after(() => server[Symbol.asyncDispose]())

async function writeKeys(folder: string): Promise<void> {
  const { kid, jwk } = registered.authority
  await writeFile(join(folder, "clients.jwks"), JSON.stringify({ keys: [{ ...jwk, kid, use: "sig", alg: "ES256" }] }))
}

test("[CC-07] refuses a request that authenticates in two ways", async () => {
  const assertion = spiffeJwt(await server.jwtSvid())
  for (const [form, headers] of [
    [{ ...assertion, client_secret: "x" }, {}],
    [assertion, { authorization: "Basic eDp5" }],
    [{ client_secret: "x" }, { authorization: "Basic eDp5" }],
  ] satisfies [FormFields, Record<string, string>][]) {
    const { status, body } = await server.post("/token", { ...ASK, ...form }, headers)
    assert.deepEqual(
      [status, body["error"], body["reason"]],
      [400, "invalid_request", "client-authentication-repeated"],
    )
  }
})

test("[SCA-01] a JWT-SVID authenticates, with client_id absent or its SPIFFE ID", async () => {
  const assertion = await server.jwtSvid()
  for (const more of [{}, { client_id: WEB }]) {
    const { status, body } = await server.post("/token", { ...ASK, ...spiffeJwt(assertion), ...more })
    assert.equal(status, 200)
    assert.equal(claimsOf(body["access_token"])["sub"], WEB)
  }
  const other = await server.post("/token", { ...ASK, ...spiffeJwt(assertion), client_id: `${WEB}2` })
  assert.deepEqual([other.status, other.body["reason"]], [401, "client-id-mismatch"])
  const half = await server.post("/token", { ...ASK, client_assertion: assertion })
  assert.deepEqual([half.status, half.body["reason"]], [400, "parameter-missing"])
})

for (const [what, audience] of [
  ["another audience", [API]],
  ["the token endpoint", [`${ISSUER}/token`]],
  ["a second audience", [ISSUER, API]],
  ["the issuer with a slash", [`${ISSUER}/`]],
] satisfies [string, readonly string[]][]) {
  test(`[SCA-02] refuses a JWT-SVID for ${what}`, async () => {
    const assertion = await server.jwtSvid({ audience })
    await refuses(spiffeJwt(assertion), "token-audience-mismatch")
  })
}

test("[SCA-02] refuses one that has expired, has no exp, or that a key of another trust domain signed", async () => {
  const now = Math.floor(Date.now() / 1000)
  await refuses(spiffeJwt(federatedSvid({ exp: now - 1 })), "token-expired")
  await refuses(spiffeJwt(federatedSvid({ exp: undefined })), "token-invalid")
  await refuses(spiffeJwt(federatedSvid({ sub: WEB })), "token-invalid")
  await refuses(spiffeJwt(federatedSvid({ sub: "spiffe://unknown.example/app" })), "token-invalid")
  await refuses(spiffeJwt(federatedSvid({ sub: "spiffe://other.example/assay/server" })), "token-invalid")
})

test("[SCA-02][SCA-08] a JWT-SVID of a federated trust domain authenticates", async () => {
  const { status, body } = await server.post("/token", { ...ASK, ...spiffeJwt(federatedSvid({})) })
  assert.equal(status, 200)
  assert.equal(claimsOf(body["access_token"])["sub"], OTHER)
})

test("[SCA-08] keys that a client names are not looked at", async () => {
  const key = makeJwtKey()
  const claims = { sub: OTHER, aud: ISSUER, exp: Math.floor(Date.now() / 1000) + 60 }
  await refuses(spiffeJwt(key.token(claims, { typ: "JWT", jku: "https://evil.example/keys" })), "token-invalid")
  await refuses(spiffeJwt(key.token({ ...claims, iss: "https://evil.example" }, { typ: "JWT" })), "token-invalid")
  const named = { ...spiffeJwt(key.token(claims)), spiffe_bundle_endpoint: "https://evil.example/bundle" }
  await refuses(named, "token-invalid")
})

test("[SCA-03] a JWT-SVID authenticates again and again", async () => {
  const assertion = spiffeJwt(await server.jwtSvid())
  for (let i = 0; i < 3; i++) assert.equal((await server.post("/token", { ...ASK, ...assertion })).status, 200)
})

test("[SCA-04] iss may be there or not", async () => {
  for (const iss of [undefined, ISSUER, "https://other.example"]) {
    const { status } = await server.post("/token", { ...ASK, ...spiffeJwt(federatedSvid({ iss })) })
    assert.equal(status, 200, String(iss))
  }
})

test("[SCA-05][MT-02][MT-03][MT-04] the X.509-SVID of the connection authenticates, and the token is bound to it", async () => {
  const { client, leafDigest, notAfter } = await server.x509Client("web")
  const fetchAs = server.fetchAs(client)
  const ask = (form: Record<string, string>) =>
    fetchAs(`${ISSUER}/token`, { method: "POST", body: new URLSearchParams(form) }).then(answerOf)
  const { status, body } = await ask({ ...ASK, client_id: WEB })
  assert.equal(status, 200)
  const { sub, cnf, exp } = claimsOf(body["access_token"])
  assert.deepEqual([sub, cnf], [WEB, { "x5t#S256": leafDigest }])
  assert.ok(Number(exp) <= notAfter)
  const nameless = await ask(ASK)
  assert.deepEqual([nameless.status, nameless.body["error"]], [401, "invalid_client"])
  const wrong = await ask({ ...ASK, client_id: `${WEB}2` })
  assert.deepEqual([wrong.status, wrong.body["reason"]], [401, "client-id-mismatch"])
})

test("[SCA-05] refuses a certificate of another authority, whoever it names", async () => {
  const { chain, pkcs8 } = makeTestCa({ trustDomain: "prod.example" }).issueLeaf(WEB)
  const cert = chain.map((der) => encodePem("CERTIFICATE", der)).join("")
  const fetchAs = server.fetchAs({ cert, key: encodePem("PRIVATE KEY", pkcs8) })
  const form = new URLSearchParams({ ...ASK, client_id: WEB })
  const { status, body } = await answerOf(await fetchAs(`${ISSUER}/token`, { method: "POST", body: form }))
  assert.deepEqual([status, body["error"], body["reason"]], [401, "invalid_client", "client-certificate-invalid"])
})

test("[MT-05] a certificate in a header is nobody's", async () => {
  const headers = { "x-forwarded-client-cert": `By=x;URI=${WEB}`, "ssl-client-cert": "x" }
  const { status } = await server.post("/token", { ...ASK, client_id: WEB }, headers)
  assert.equal(status, 401)
})

test("[SCA-09] two credentials of one SPIFFE ID give the same token", async () => {
  const ask = { ...ASK, scope: "read" }
  const bySvid = await server.post("/token", { ...ask, ...spiffeJwt(await server.jwtSvid()) })
  const byToken = await server.post("/token", { ...ask, ...bearer(server.setup.token()) })
  const parts = [bySvid, byToken].map(({ body }) => {
    const claims = claimsOf(body["access_token"])
    const life = Number(claims["exp"]) - Number(claims["iat"])
    return { ...claims, life, jti: "", iat: 0, nbf: 0, exp: 0 }
  })
  assert.deepEqual(parts[0], parts[1])
})

test("[SCA-10] a service-account token authenticates; one for another audience does not", async () => {
  const { status, body } = await server.post("/token", { ...ASK, ...bearer(server.setup.token()) })
  assert.equal(status, 200)
  assert.equal(claimsOf(body["access_token"])["sub"], WEB)
  const pod = server.setup.cluster.createPod("shop", "web", "web-x")
  const foreign = server.setup.cluster.issueToken(pod, { audience: ["vault"], lifetime: 600 })
  await refuses(bearer(foreign), "audience-mismatch")
})

test("[JB-01] a registered client authenticates by its own assertion, once", async () => {
  const assertion = ownAssertion(registered, {})
  const { status, body } = await server.post("/token", { ...ASK, ...bearer(assertion) })
  assert.equal(status, 200)
  const { sub, client_id } = claimsOf(body["access_token"])
  assert.deepEqual([sub, client_id], ["spiffe://prod.example/vm/billing", "billing"])
  await refuses(bearer(assertion), "client-assertion-replayed")
  await refuses(bearer(ownAssertion(registered, { iss: "nobody", sub: "nobody" })), "client-unknown")
  await refuses(bearer(ownAssertion(registered, { sub: "other" })), "client-assertion-invalid")
  await refuses(bearer(ownAssertion(makeJwtKey(), {})), "client-assertion-invalid")
  await refuses(bearer(ownAssertion(registered, { jti: undefined })), "client-assertion-invalid")
})

test("[JB-04] the issuer is the sole audience of an assertion, and its typ is that of one", async () => {
  for (const aud of [API, `${ISSUER}/token`, [ISSUER, API]]) {
    await refuses(bearer(ownAssertion(registered, { aud })), "token-audience-mismatch")
  }
  for (const typ of ["JWT", "client-authentication+jwt"]) {
    const { status } = await server.post("/token", { ...ASK, ...bearer(ownAssertion(registered, {}, { typ })) })
    assert.equal(status, 200)
  }
  for (const typ of ["at+jwt", "dpop+jwt"])
    await refuses(bearer(ownAssertion(registered, {}, { typ })), "token-invalid")
})

test("[JB-05] refuses an assertion that lives longer than five minutes, and says so", async () => {
  const exp = Math.floor(Date.now() / 1000) + 400
  await refuses(bearer(ownAssertion(registered, { exp })), "client-assertion-too-long")
})

test("[EXT-06] an assertion may name a certificate by thumbprint", async () => {
  for (const header of [{ x5t: "ykNaY4qM_ta4k2TgZOCEYLkcYlA" }, { "x5t#S256": "a".repeat(43) }]) {
    const { status } = await server.post("/token", { ...ASK, ...bearer(ownAssertion(registered, {}, header)) })
    assert.equal(status, 200)
  }
  await refuses(bearer(ownAssertion(makeJwtKey(), {}, { x5t: "a" })), "client-assertion-invalid")
})

async function refuses(form: FormFields, reason: string): Promise<void> {
  const { status, body } = await server.post("/token", { ...ASK, ...form })
  assert.deepEqual([status, body["error"], body["reason"]], [401, "invalid_client", reason])
}

function federatedSvid(claims: object): string {
  const now = Math.floor(Date.now() / 1000)
  return federated.token({ sub: OTHER, aud: [ISSUER], iat: now, exp: now + 60, ...claims }, { typ: "JWT" })
}

function ownAssertion(key: JwtKey, claims: object, header: object = {}): string {
  const now = Math.floor(Date.now() / 1000)
  const own = { iss: "billing", sub: "billing", aud: ISSUER, iat: now, exp: now + 60, jti: randomUUID() }
  return key.token({ ...own, ...claims }, header)
}

function bearer(assertion: string): FormFields {
  return { client_assertion_type: ASSERTION_TYPES.jwtBearer, client_assertion: assertion }
}
