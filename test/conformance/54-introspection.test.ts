import assert from "node:assert/strict"
import { verify } from "node:crypto"
import { after, before, test } from "node:test"
import { GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { spkiOf } from "../support/jwt-key.ts"
import {
  type Answer,
  API,
  claimsOf,
  type FormFields,
  headerOf,
  ISSUER,
  openTokenServer,
  spiffeJwt,
  type TokenServer,
} from "../support/token-server.ts"

const WEB = "spiffe://prod.example/ns/shop/sa/web"
const BACKEND = "spiffe://prod.example/ns/shop/sa/backend"
const SECURITY = "spiffe://prod.example/ns/shop/sa/security"

let server: TokenServer
before(async () => {
  server = await openTokenServer({
    oauth: { resources: [{ audience: API, holders: [BACKEND] }], revokers: [SECURITY] },
  })
})
after(() => server[Symbol.asyncDispose]())

test("[INT-01] demands a caller that authenticates, and a token", async () => {
  const nobody = await server.post("/introspect", { token: "x" })
  assert.deepEqual([nobody.status, nobody.body["error"]], [401, "invalid_client"])
  const without = await as("backend", "/introspect", {})
  assert.deepEqual([without.status, without.body["error"]], [400, "invalid_request"])
})

test("[INT-01] says of every token that is none of the caller's business that it is not active, and no more", async () => {
  const token = await tokenOf("web")
  const expired = token.replace(/.$/, (last) => (last === "A" ? "B" : "A"))
  for (const [who, text] of [
    ["stranger", token],
    ["backend", "garbage"],
    ["backend", expired],
    ["backend", await server.jwtSvid({ audience: [API] })],
  ] satisfies [string, string][]) {
    const { status, body } = await as(who, "/introspect", { token: text })
    assert.deepEqual([status, body], [200, { active: false }])
  }
})

test("[INT-02] says of an active token what is in it", async () => {
  const token = await tokenOf("web", { scope: "read write" })
  const { status, body, headers } = await as("backend", "/introspect", { token, token_type_hint: "access_token" })
  const claims = claimsOf(token)
  assert.equal(status, 200)
  assert.equal(headers.get("cache-control"), "no-store")
  assert.deepEqual(body, { ...claims, active: true, aud: [API], token_type: "Bearer" })
})

test("[TX-14] shows who acts", async () => {
  const actor_token = await server.jwtSvid({ serviceAccount: "front" })
  const { body } = await server.post("/token", {
    grant_type: GRANT_TYPES["token-exchange"],
    audience: API,
    subject_token: await server.jwtSvid(),
    subject_token_type: TOKEN_TYPES.jwt,
    actor_token,
    actor_token_type: TOKEN_TYPES.jwt,
  })
  const answer = await as("backend", "/introspect", { token: String(body["access_token"]) })
  assert.deepEqual(answer.body["act"], { sub: "spiffe://prod.example/ns/shop/sa/front" })
})

test("[INT-03] answers with a signed JWT for the caller alone when it accepts that", async () => {
  const token = await tokenOf("web")
  const form = { ...spiffeJwt(await server.jwtSvid({ serviceAccount: "backend" })), token }
  const response = await server.fetch(`${ISSUER}/introspect`, {
    method: "POST",
    body: new URLSearchParams(form as Record<string, string>),
    headers: { accept: "application/token-introspection+jwt" },
  })
  assert.equal(response.headers.get("content-type"), "application/token-introspection+jwt")
  const text = await response.text()
  const { typ, kid } = headerOf(text)
  assert.equal(typ, "token-introspection+jwt")
  const { iss, aud, token_introspection } = claimsOf(text)
  assert.deepEqual([iss, aud], [ISSUER, BACKEND])
  assert.deepEqual(Object(token_introspection)["jti"], claimsOf(token)["jti"])
  const authority = server.pipeline.trust.snapshot().own.jwtAuthorities.find((key) => key.kid === kid)
  assert.ok(authority !== undefined)
  const [header, payload, signature = ""] = text.split(".")
  const key = { key: spkiOf(authority), dsaEncoding: "ieee-p1363" } as const
  assert.ok(verify("sha256", Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, "base64url")))
  const asToken = await as("backend", "/introspect", { token: text })
  assert.deepEqual(asToken.body, { active: false })
})

test("[INT-04] a token is the business of its subject, its client, and who holds its audience", async () => {
  const token = await tokenOf("web")
  for (const [who, active] of [
    ["web", true],
    ["backend", true],
    ["front", false],
  ] as const) {
    const { body } = await as(who, "/introspect", { token })
    assert.equal(body["active"], active, who)
  }
})

test("[REV-01] revokes the caller's own token, answers 200 for one that is not valid, and refuses another's", async () => {
  const token = await tokenOf("web")
  const other = await as("front", "/revoke", { token })
  assert.deepEqual([other.status, other.body["reason"]], [400, "token-not-yours"])
  assert.equal((await as("backend", "/introspect", { token })).body["active"], true)
  assert.equal((await as("web", "/revoke", { token })).status, 200)
  assert.deepEqual((await as("backend", "/introspect", { token })).body, { active: false })
  assert.equal((await as("web", "/revoke", { token })).status, 200)
  assert.equal((await as("web", "/revoke", { token: "garbage" })).status, 200)
  assert.equal((await server.post("/revoke", { token })).status, 401)
  assert.equal((await as("web", "/revoke", {})).status, 400)
})

test("[REV-02] what is revoked is in the store for the other replicas until the token expires", async () => {
  const token = await tokenOf("web")
  await as("web", "/revoke", { token })
  const { jti, exp } = claimsOf(token)
  const records = await server.state.store.revocationLog.readAfter(0, 1000)
  const found = records.find(({ revocation }) => revocation.kind === "token" && revocation.tokenId === jti)
  assert.equal(found?.revocation.until, exp)
})

test("[REV-02] a subject stays revoked for as long as any configuration lets a token live", async () => {
  const subject = "spiffe://prod.example/ns/shop/sa/lost"
  assert.equal((await as("security", "/revoke", { subject })).status, 200)
  const records = await server.state.store.revocationLog.readAfter(0, 1000)
  const found = records.find(({ revocation }) => revocation.kind === "subject" && revocation.subject === subject)
  assert.ok(found?.revocation.kind === "subject")
  const { until, issuedUntil } = found.revocation
  assert.ok(server.live().config.jwt.ttl < 24 * 3600)
  assert.equal(until - issuedUntil, 24 * 3600)
})

test("[REV-03] the security team revokes every token of a subject; nobody else does", async () => {
  const token = await tokenOf("victim")
  const subject = "spiffe://prod.example/ns/shop/sa/victim"
  const refused = await as("web", "/revoke", { subject })
  assert.deepEqual(
    [refused.status, refused.body["error"], refused.body["reason"]],
    [400, "access_denied", "revoker-unknown"],
  )
  assert.equal((await as("security", "/revoke", { subject })).status, 200)
  assert.deepEqual((await as("backend", "/introspect", { token })).body, { active: false })
  const both = await as("security", "/revoke", { subject, token })
  assert.equal(both.status, 400)
  const strange = await as("security", "/revoke", { subject: "victim" })
  assert.deepEqual([strange.status, strange.body["reason"]], [400, "parameter-invalid"])
})

test("[REV-04] a revoked token is refused as a subject token, and a revoked subject's JWT-SVID as a credential", async () => {
  const token = await tokenOf("web", { audience: ISSUER })
  await as("web", "/revoke", { token })
  const exchange = { grant_type: GRANT_TYPES["token-exchange"], audience: API }
  const subject = { subject_token: token, subject_token_type: TOKEN_TYPES.accessToken }
  const answer = await as("web", "/token", { ...exchange, ...subject })
  assert.deepEqual([answer.status, answer.body["reason"]], [400, "token-revoked"])
  const assertion = await server.jwtSvid({ serviceAccount: "gone" })
  await as("security", "/revoke", { subject: "spiffe://prod.example/ns/shop/sa/gone" })
  const credential = await server.post("/token", {
    grant_type: "client_credentials",
    audience: API,
    ...spiffeJwt(assertion),
  })
  assert.deepEqual([credential.status, credential.body["reason"]], [401, "token-revoked"])
})

test("[REV-05] says that a JWT-SVID cannot be revoked by itself", async () => {
  const svid = await server.jwtSvid({ serviceAccount: "front", audience: [API] })
  const { status, body } = await as("front", "/revoke", { token: svid })
  assert.deepEqual(
    [status, body["error"], body["reason"]],
    [400, "unsupported_token_type", "revocation-type-unsupported"],
  )
  const spoiled = svid.replace(/.$/, (last) => (last === "A" ? "Q" : "A"))
  assert.equal((await as("front", "/revoke", { token: spoiled })).status, 200)
})

async function tokenOf(serviceAccount: string, form: FormFields = {}): Promise<string> {
  const { body, status } = await server.ask(
    { grant_type: "client_credentials", audience: API, ...form },
    serviceAccount,
  )
  assert.equal(status, 200)
  assert.equal(claimsOf(body["access_token"])["sub"], WEB.replace("web", serviceAccount))
  return String(body["access_token"])
}

async function as(serviceAccount: string, path: string, form: FormFields): Promise<Answer> {
  return server.post(path, { ...spiffeJwt(await server.jwtSvid({ serviceAccount })), ...form })
}
