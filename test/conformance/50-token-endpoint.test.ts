import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { GRANT_TYPES } from "../../src/core/oauth/urns.ts"
import {
  API,
  claimsOf,
  type FormFields,
  headerOf,
  ISSUER,
  openTokenServer,
  spiffeJwt,
  type TokenServer,
} from "../support/token-server.ts"

let server: TokenServer
before(async () => {
  server = await openTokenServer()
})
after(() => server[Symbol.asyncDispose]())

const CLIENT_CREDENTIALS = { grant_type: "client_credentials", audience: API }
const WEB = "spiffe://prod.example/ns/shop/sa/web"

test("[CC-01] takes parameters only from the body of a POST of a form", async () => {
  const assertion = await server.jwtSvid()
  const form = new URLSearchParams({ ...CLIENT_CREDENTIALS, ...spiffeJwt(assertion) } as Record<string, string>)
  const get = await server.fetch(`${ISSUER}/token?${form.toString()}`)
  assert.equal(get.status, 405)
  assert.equal(get.headers.get("allow"), "POST")
  const query = await server.fetch(`${ISSUER}/token?${form.toString()}`, { method: "POST" })
  assert.equal(query.status, 400)
  const json = await server.fetch(`${ISSUER}/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(Object.fromEntries(form)),
  })
  assert.deepEqual([json.status, reasonOf(await json.json())], [400, "content-type-unsupported"])
  const octets = await server.fetch(`${ISSUER}/token`, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: Buffer.from(`${form.toString()}&resource=urn:\xff`, "latin1"),
  })
  assert.deepEqual([octets.status, reasonOf(await octets.json())], [400, "request-malformed"])
})

test("[CC-02] refuses a repeated parameter, and takes an empty one for none", async () => {
  const twice = await server.ask({ ...CLIENT_CREDENTIALS, scope: ["read", "write"] })
  assert.deepEqual(
    [twice.status, twice.body["error"], twice.body["reason"]],
    [400, "invalid_request", "parameter-repeated"],
  )
  const empty = await server.ask({ ...CLIENT_CREDENTIALS, scope: "", actor_token: "" })
  assert.equal(empty.status, 200)
})

test("[CC-02] ignores an unknown parameter and names it in the audit record; a known one out of place is refused", async () => {
  const { status, body } = await server.ask({ ...CLIENT_CREDENTIALS, shoe_size: "44", "0Oops-aToken": "x" })
  assert.equal(status, 200)
  const { jti } = claimsOf(body["access_token"])
  assert.deepEqual((await grantedRecord(String(jti)))["ignored"], ["shoe_size", "?"])
  for (const name of ["assertion", "subject_token", "actor_token", "csr"]) {
    const refused = await server.ask({ ...CLIENT_CREDENTIALS, [name]: "x" })
    assert.deepEqual([refused.status, refused.body["reason"]], [400, "parameter-not-allowed"], name)
  }
})

test("[CC-03][AT-03] gives a client a token about itself", async () => {
  const { status, body } = await server.ask(CLIENT_CREDENTIALS)
  assert.equal(status, 200)
  const { sub, client_id, act } = claimsOf(body["access_token"])
  assert.deepEqual({ sub, client_id, act }, { sub: WEB, client_id: WEB, act: undefined })
})

test("[CC-04] answers with the members of RFC 6749, never to be stored", async () => {
  const { status, body, headers } = await server.ask({ ...CLIENT_CREDENTIALS, scope: "read" })
  assert.equal(status, 200)
  assert.equal(headers.get("cache-control"), "no-store")
  assert.match(headers.get("content-type") ?? "", /^application\/json/)
  assert.deepEqual(Object.keys(body).sort(), ["access_token", "expires_in", "issued_token_type", "scope", "token_type"])
  assert.deepEqual([body["token_type"], body["scope"]], ["Bearer", "read"])
  const { iat, exp } = claimsOf(body["access_token"])
  assert.equal(Number(exp) - Number(iat), body["expires_in"])
})

for (const [what, form, error, reason] of [
  ["no grant type", {}, "invalid_request", "grant-type-missing"],
  ["another grant type", { grant_type: "password", audience: API }, "unsupported_grant_type", "grant-type-unsupported"],
  ["scope that is no list of words", { ...CLIENT_CREDENTIALS, scope: 'read "' }, "invalid_scope", "scope-malformed"],
  ["a scope twice", { ...CLIENT_CREDENTIALS, scope: "read read" }, "invalid_scope", "scope-malformed"],
  [
    "an unknown token type",
    { ...CLIENT_CREDENTIALS, requested_token_type: "urn:x" },
    "invalid_request",
    "token-type-unsupported",
  ],
] satisfies [string, FormFields, string, string][]) {
  test(`[CC-05] answers ${error} to ${what}`, async () => {
    const { status, body } = await server.ask(form)
    assert.deepEqual([status, body["error"], body["reason"]], [400, error, reason])
    assert.equal(typeof body["request_id"], "string")
  })
}

test("[CC-05] answers 401 to a client that does not authenticate, and 429 with Retry-After to one that asks too much", async () => {
  const nobody = await server.post("/token", CLIENT_CREDENTIALS)
  assert.deepEqual([nobody.status, nobody.body["error"]], [401, "invalid_client"])
  assert.equal(nobody.headers.get("www-authenticate"), null)
  for (const [authorization, challenge] of [
    ["Basic eDp5", 'Basic realm="token"'],
    ["DPoP x", 'DPoP realm="token"'],
    ["bearer", 'bearer realm="token"'],
    ['"x', 'Basic realm="token"'],
  ] satisfies [string, string][]) {
    const { status, headers } = await server.post("/token", CLIENT_CREDENTIALS, { authorization })
    assert.deepEqual([status, headers.get("www-authenticate")], [401, challenge])
  }
  await using busy = await openTokenServer({ config: { limits: { identity_rate: "1/s", identity_burst: 1 } } })
  const assertion = await busy.jwtSvid()
  const asked = Array.from({ length: 20 }, () =>
    busy.post("/token", { ...CLIENT_CREDENTIALS, ...spiffeJwt(assertion) }),
  )
  const answer = (await Promise.all(asked)).find(({ status }) => status !== 200)
  assert.deepEqual([answer?.status, answer?.body["error"]], [429, "temporarily_unavailable"])
  assert.ok(Number(answer?.headers.get("retry-after")) >= 1)
})

test("[CC-06] describes errors in the characters that RFC 6749 allows", async () => {
  const { body } = await server.ask({ grant_type: "client_credentials" })
  assert.match(String(body["error_description"]), /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/)
})

test("[CC-08] refuses what is too long or too much", async () => {
  const long = await server.ask({ ...CLIENT_CREDENTIALS, padding: "x".repeat(64 * 1024) })
  assert.deepEqual([long.status, long.body["reason"]], [400, "body-too-long"])
  const many = Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`p${i}`, "x"]))
  const crowded = await server.ask({ ...CLIENT_CREDENTIALS, ...many })
  assert.deepEqual([crowded.status, crowded.body["reason"]], [400, "form-too-large"])
  const huge = await server.post("/token", { ...CLIENT_CREDENTIALS, ...spiffeJwt(`${"a".repeat(17_000)}.a.a`) })
  assert.deepEqual([huge.status, huge.body["error"]], [401, "invalid_client"])
  const broken = await server.fetch(`${ISSUER}/token`, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: "grant_type=%ff",
  })
  assert.deepEqual([broken.status, reasonOf(await broken.json())], [400, "form-malformed"])
})

test("[TX-17] refuses a request without a target", async () => {
  const { status, body } = await server.ask({ grant_type: "client_credentials" })
  assert.deepEqual([status, body["error"], body["reason"]], [400, "invalid_target", "target-missing"])
})

test("[RES-01] takes absolute URIs without fragment as resource, up to 16", async () => {
  const good = await server.ask({ grant_type: "client_credentials", resource: API })
  assert.equal(claimsOf(good.body["access_token"])["aud"], API)
  const many = Array.from({ length: 17 }, (_, i) => `${API}/${i}`)
  for (const resource of ["api", "/path", `${API}#part`, "https://", many]) {
    const { status, body } = await server.ask({ grant_type: "client_credentials", resource })
    assert.deepEqual([status, body["error"]], [400, "invalid_target"], String(resource))
  }
})

test("[RAR-01] refuses authorization_details", async () => {
  const { status, body } = await server.ask({ ...CLIENT_CREDENTIALS, authorization_details: "[]" })
  assert.deepEqual([status, body["error"]], [400, "invalid_authorization_details"])
})

test("[AT-01][AT-02] an access token has the type and the claims of RFC 9068", async () => {
  const { body } = await server.ask({ ...CLIENT_CREDENTIALS, scope: "read write" })
  const { alg, typ, kid } = headerOf(body["access_token"])
  const published = server.pipeline.trust.snapshot().own.jwtAuthorities.find((key) => key.kid === kid)
  assert.deepEqual([alg, typ, published?.algorithm], ["ES256", "at+jwt", "ES256"])
  const claims = claimsOf(body["access_token"])
  assert.deepEqual(Object.keys(claims).sort(), ["aud", "client_id", "exp", "iat", "iss", "jti", "nbf", "scope", "sub"])
  assert.equal(claims["iss"], ISSUER)
  for (const name of ["iat", "nbf", "exp"]) assert.ok(Number.isInteger(claims[name]), name)
  assert.equal(claims["nbf"], Number(claims["iat"]) - 10)
})

test("[AT-04] aud is a text for one target and a list for several", async () => {
  const one = await server.ask(CLIENT_CREDENTIALS)
  assert.equal(claimsOf(one.body["access_token"])["aud"], API)
  const two = await server.ask({ ...CLIENT_CREDENTIALS, audience: [API, "https://b.example"] })
  assert.deepEqual(claimsOf(two.body["access_token"])["aud"], [API, "https://b.example"])
})

test("[AT-05] an access token is no JWT-SVID, no assertion and no subject token of type jwt", async () => {
  const { body } = await server.ask({ ...CLIENT_CREDENTIALS, audience: ISSUER })
  const token = String(body["access_token"])
  const asClient = await server.post("/token", { ...CLIENT_CREDENTIALS, ...spiffeJwt(token) })
  assert.deepEqual([asClient.status, asClient.body["error"]], [401, "invalid_client"])
  const asGrant = await server.post("/token", {
    grant_type: GRANT_TYPES["jwt-bearer"],
    assertion: token,
    audience: API,
  })
  assert.deepEqual([asGrant.status, asGrant.body["error"]], [400, "invalid_grant"])
  const svid = await server.jwtSvid()
  const asSubject = await server.ask({
    grant_type: GRANT_TYPES["token-exchange"],
    audience: API,
    subject_token: svid,
    subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
  })
  assert.deepEqual([asSubject.status, asSubject.body["error"]], [400, "invalid_request"])
})

test("[AUD-01][AT-06] the intent is in the log with its decision, and the token is not", async () => {
  const { body } = await server.ask(CLIENT_CREDENTIALS)
  const token = String(body["access_token"])
  const { jti } = claimsOf(token)
  await server.state.store.issuanceLog.flush()
  const [logged] = await server.state.store.issuanceLog.search({ serial: String(jti), limit: 1 })
  assert.equal(Buffer.from(logged?.intent.tbs ?? []).toString(), token.split(".").slice(0, 2).join("."))
  assert.equal(logged?.signature?.length, 32)
  const record = await grantedRecord(String(jti))
  assert.equal(record["subject"], WEB)
  assert.deepEqual([record["authority"], record["epoch"]], [headerOf(token)["kid"], logged?.intent.epoch])
  assert.equal(JSON.stringify(record).includes(token.split(".")[2] ?? token), false)
})

test("[AT-06] nothing is signed when the intent cannot be written", async () => {
  let isFull = false
  await using broken = await openTokenServer({
    wrap: (state) => ({
      ...state,
      signIntent: (order) => (isFull ? Promise.reject(new Error("disk full")) : state.signIntent(order)),
    }),
  })
  isFull = true
  const sa = broken.setup.token()
  const { status, body } = await broken.post("/token", {
    grant_type: GRANT_TYPES["token-exchange"],
    audience: API,
    subject_token: sa,
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
  })
  assert.deepEqual([status, body["error"]], [500, "server_error"])
  assert.equal(JSON.stringify(body).includes("disk full"), false)
})

test("[TX-16] every grant is refused by the same rules, and the refusal is audited", async () => {
  await using strict = await openTokenServer({ tokenRules: { exports: [], accepts: [] } })
  const token = strict.setup.token()
  const jwt = "urn:ietf:params:oauth:token-type:jwt"
  for (const [grant, form] of [
    ["client_credentials", spiffeJwt(await strict.jwtSvid())],
    ["jwt-bearer", { assertion: token }],
    ["token-exchange", { subject_token: token, subject_token_type: jwt }],
  ] satisfies [keyof typeof GRANT_TYPES, FormFields][]) {
    const { status, body } = await strict.post("/token", { grant_type: GRANT_TYPES[grant], audience: API, ...form })
    assert.deepEqual([status, body["error"], body["reason"]], [400, "invalid_target", "audience-unknown"], grant)
    const record = await strict.auditRecord("token.refused", (one) => one["grant"] === grant)
    assert.deepEqual([record?.["subject"], record?.["reason"], record?.["audience"]], [WEB, "audience-unknown", [API]])
  }
})

async function grantedRecord(serial: string): Promise<Readonly<Record<string, unknown>>> {
  const found = await server.auditRecord("token.granted", (record) => record["serial"] === serial)
  assert.ok(found !== undefined)
  return found
}

function reasonOf(body: unknown): unknown {
  return typeof body === "object" && body !== null && "reason" in body ? body.reason : undefined
}
