import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { ASSERTION_TYPES, GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import { parsePem } from "../../src/core/x509/pem.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { makeTestCsr } from "../support/test-csr.ts"
import {
  type Answer,
  API,
  answerOf,
  claimsOf,
  type FormFields,
  headerOf,
  ISSUER,
  openTokenServer,
  spiffeJwt,
  type TokenServer,
} from "../support/token-server.ts"
import { until } from "../support/until.ts"

const WEB = "spiffe://prod.example/ns/shop/sa/web"
const FRONT = "spiffe://prod.example/ns/shop/sa/front"
const CI = "https://ci.example"
const B = "https://b.example"
const EXCHANGE = { grant_type: GRANT_TYPES["token-exchange"], audience: API }

const CI_ISSUER = {
  name: "ci",
  issuer: CI,
  audiences: ["assay-ci"],
  keys: { jwks_file: "folder:ci.jwks" },
  required_claims: { repository_owner: "acme" },
  spiffe_id: "/ci/{{repository...}}/{{environment}}",
}

let server: TokenServer
const federated = makeJwtKey()
const ci = makeJwtKey("RS256")
before(async () => {
  server = await openTokenServer({
    files: async (folder) => {
      const { kid, jwk } = ci.authority
      await writeFile(join(folder, "ci.jwks"), JSON.stringify({ keys: [{ ...jwk, kid, use: "sig", alg: "RS256" }] }))
    },
    oauth: { external_issuers: [CI_ISSUER], resources: [{ audience: B, holders: [WEB] }], revokers: [WEB] },
  })
  const bundle = {
    trustDomain: parseTrustDomain("other.example"),
    x509Authorities: [],
    sequence: 1,
    refreshHint: undefined,
  }
  await server.pipeline.trust.setFederated([{ ...bundle, jwtAuthorities: [federated.authority] }])
})
after(() => server[Symbol.asyncDispose]())

test("[TX-01] demands the subject token with its type, and an actor's type exactly with an actor", async () => {
  const subject_token = server.setup.token()
  for (const form of [
    {},
    { subject_token },
    { subject_token_type: TOKEN_TYPES.jwt },
    { ...jwt("subject", subject_token), actor_token: subject_token },
    { ...jwt("subject", subject_token), actor_token_type: TOKEN_TYPES.jwt },
  ]) {
    const { status, body } = await exchange(form)
    assert.deepEqual([status, body["error"], body["reason"]], [400, "invalid_request", "parameter-missing"])
  }
})

test("[TX-02][TX-03] exchanges a service-account token, a JWT-SVID, a federated one, and an outside token", async () => {
  for (const [token, subject] of [
    [server.setup.token(), WEB],
    [await server.jwtSvid(), WEB],
    [federatedSvid({}), "spiffe://other.example/app"],
    [ciToken({}), "spiffe://prod.example/ci/acme/site/live"],
  ] satisfies [string, string][]) {
    const { status, body } = await exchange(jwt("subject", token))
    assert.equal(status, 200, subject)
    const { sub, client_id, act } = claimsOf(body["access_token"])
    assert.deepEqual({ sub, client_id, act }, { sub: subject, client_id: subject, act: undefined })
    assert.deepEqual([body["issued_token_type"], body["token_type"]], [TOKEN_TYPES.accessToken, "Bearer"])
  }
})

test("[TX-02] refuses token types that it does not know", async () => {
  for (const type of ["refresh_token", "saml1", "saml2", "x"]) {
    const subject_token_type = `urn:ietf:params:oauth:token-type:${type}`
    const { status, body } = await exchange({ subject_token: server.setup.token(), subject_token_type })
    assert.deepEqual([status, body["reason"]], [400, "token-type-unsupported"], type)
  }
  const asIdToken = await exchange({ subject_token: server.setup.token(), subject_token_type: TOKEN_TYPES.idToken })
  assert.deepEqual([asIdToken.status, asIdToken.body["error"]], [400, "invalid_request"])
  assert.equal((await exchange({ subject_token: ciToken({}), subject_token_type: TOKEN_TYPES.idToken })).status, 200)
})

test("[TX-03] a JWT-SVID comes out as what it is", async () => {
  const { status, body } = await exchange({
    ...jwt("subject", server.setup.token()),
    requested_token_type: TOKEN_TYPES.jwt,
  })
  assert.equal(status, 200)
  assert.deepEqual([body["issued_token_type"], body["token_type"]], [TOKEN_TYPES.jwt, "N_A"])
  const { sub, aud } = claimsOf(body["access_token"])
  assert.deepEqual([headerOf(body["access_token"])["typ"], sub, aud], ["JWT", WEB, [API]])
})

test("[TX-03] an X.509-SVID comes out for a request with a CSR", async () => {
  const csr = Buffer.from(makeTestCsr()).toString("base64url")
  const asked = { ...jwt("subject", server.setup.token()), requested_token_type: TOKEN_TYPES.x509Svid, audience: "" }
  const { status, body } = await exchange({ ...asked, csr })
  assert.equal(status, 200)
  assert.deepEqual([body["issued_token_type"], body["token_type"]], [TOKEN_TYPES.x509Svid, "N_A"])
  const [leaf] = parsePem(String(body["access_token"]), "CERTIFICATE", { maxLength: 65_536, maxBlocks: 4 })
  assert.deepEqual(leaf === undefined ? [] : parseCertificate(leaf).uriNames, [WEB])
  const without = await exchange(asked)
  assert.deepEqual([without.status, without.body["reason"]], [400, "csr-missing"])
  const garbage = await exchange({ ...asked, csr: "AAAA" })
  assert.deepEqual([garbage.status, garbage.body["error"]], [400, "invalid_request"])
})

test("[AT-07] no SVID for a subject of another trust domain or with actors", async () => {
  const { status, body } = await exchange({
    ...jwt("subject", federatedSvid({})),
    requested_token_type: TOKEN_TYPES.jwt,
  })
  assert.deepEqual([status, body["reason"]], [400, "foreign-subject"])
  const actor = jwt("actor", await server.jwtSvid({ serviceAccount: "front" }))
  const delegated = { ...jwt("subject", await server.jwtSvid()), ...actor, requested_token_type: TOKEN_TYPES.jwt }
  const refused = await exchange(delegated)
  assert.deepEqual([refused.status, refused.body["reason"]], [400, "delegation-in-svid"])
})

test("[TX-04] a subject or actor token that is not accepted is an invalid request", async () => {
  const good = server.setup.token()
  const bad = {
    expired: federatedSvid({ exp: 1 }),
    foreign: makeJwtKey().token({ sub: WEB, aud: ISSUER, exp: 9e9 }),
    garbage: "x",
  }
  for (const [what, token] of Object.entries(bad)) {
    for (const form of [jwt("subject", token), { ...jwt("subject", good), ...jwt("actor", token) }]) {
      const { status, body } = await exchange(form)
      assert.deepEqual([status, body["error"]], [400, "invalid_request"], what)
      assert.equal(typeof body["reason"], "string")
    }
  }
})

test("[TX-05] impersonation has no act; delegation has the actor", async () => {
  const subject = await server.jwtSvid()
  const client = spiffeJwt(await server.jwtSvid({ serviceAccount: "front" }))
  const impersonated = claimsOf((await exchange({ ...client, ...jwt("subject", subject) })).body["access_token"])
  assert.deepEqual([impersonated["sub"], impersonated["client_id"], impersonated["act"]], [WEB, FRONT, undefined])
  const actor = jwt("actor", await server.jwtSvid({ serviceAccount: "front" }))
  const delegated = claimsOf((await exchange({ ...client, ...jwt("subject", subject), ...actor })).body["access_token"])
  assert.deepEqual([delegated["sub"], delegated["act"]], [WEB, { sub: FRONT }])
})

test("[TX-05][TX-18] a chain of actors has the newest outermost, stays when nobody new acts, and is five long at most", async () => {
  let token = String((await exchange(jwt("subject", await server.jwtSvid()))).body["access_token"])
  const step = async (serviceAccount: string, withActor: boolean): Promise<Answer> => {
    const proof = await server.jwtSvid({ serviceAccount })
    const actor = withActor ? jwt("actor", proof) : {}
    const form = { ...spiffeJwt(proof), ...access("subject", token), ...actor, audience: ISSUER }
    const answer = await exchange(form)
    if (answer.status === 200) token = String(answer.body["access_token"])
    return answer
  }
  token = String((await exchange({ ...jwt("subject", await server.jwtSvid()), audience: ISSUER })).body["access_token"])
  for (const name of ["a1", "a2"]) assert.equal((await step(name, true)).status, 200)
  const two = { sub: "spiffe://prod.example/ns/shop/sa/a2", act: { sub: "spiffe://prod.example/ns/shop/sa/a1" } }
  assert.deepEqual(claimsOf(token)["act"], two)
  assert.equal((await step("other", false)).status, 200)
  assert.deepEqual(claimsOf(token)["act"], two)
  for (const name of ["a3", "a4", "a5"]) assert.equal((await step(name, true)).status, 200)
  const sixth = await step("a6", true)
  assert.deepEqual([sixth.status, sixth.body["reason"]], [400, "delegation-too-deep"])
})

test("[TX-06][TX-12] may_act is honoured with and without an actor token", async () => {
  const subject = federatedSvid({ may_act: { sub: FRONT } })
  const front = await server.jwtSvid({ serviceAccount: "front" })
  const other = await server.jwtSvid({ serviceAccount: "other" })
  const outcome = async (form: FormFields) => {
    const { status, body } = await exchange({ ...jwt("subject", subject), ...form })
    return status === 200 ? "ok" : body["reason"]
  }
  assert.equal(await outcome(spiffeJwt(front)), "ok")
  assert.equal(await outcome({ ...spiffeJwt(front), ...jwt("actor", front) }), "ok")
  assert.equal(await outcome({ ...spiffeJwt(other), ...jwt("actor", front) }), "ok")
  assert.equal(await outcome(spiffeJwt(other)), "may-act-mismatch")
  assert.equal(await outcome({ ...spiffeJwt(front), ...jwt("actor", other) }), "may-act-mismatch")
  assert.equal(await outcome({}), "may-act-mismatch")
  const strange = { ...jwt("subject", federatedSvid({ may_act: "front" })), ...spiffeJwt(front) }
  assert.equal((await exchange(strange)).status, 400)
})

test("[TX-10] refuses a subject token for somebody else, and takes one for the caller", async () => {
  const forOther = await server.jwtSvid({ audience: [API] })
  const client = spiffeJwt(await server.jwtSvid({ serviceAccount: "front" }))
  const refused = await exchange({ ...client, ...jwt("subject", forOther) })
  assert.deepEqual([refused.status, refused.body["reason"]], [400, "token-audience-mismatch"])
  const forFront = await server.jwtSvid({ audience: [FRONT] })
  assert.equal((await exchange({ ...client, ...jwt("subject", forFront) })).status, 200)
  const anonymous = await exchange(jwt("subject", forFront))
  assert.deepEqual([anonymous.status, anonymous.body["reason"]], [400, "token-audience-mismatch"])
})

test("[TX-10] an access token is taken from a caller that holds its audience, and from no other", async () => {
  const token = String(
    (await exchange({ ...jwt("subject", await server.jwtSvid({ serviceAccount: "user" })), audience: B })).body[
      "access_token"
    ],
  )
  const holder = await exchange({ ...spiffeJwt(await server.jwtSvid()), ...access("subject", token) })
  assert.equal(holder.status, 200)
  const other = await exchange({
    ...spiffeJwt(await server.jwtSvid({ serviceAccount: "front" })),
    ...access("subject", token),
  })
  assert.deepEqual([other.status, other.body["reason"]], [400, "token-audience-mismatch"])
})

test("[TX-13] a token does not outlive its subject token", async () => {
  const exp = Math.floor(Date.now() / 1000) + 40
  const { body } = await exchange(jwt("subject", federatedSvid({ exp })))
  assert.equal(claimsOf(body["access_token"])["exp"], exp)
})

test("[TX-15] a subject token that is bound to a certificate needs that certificate", async () => {
  const { client } = await server.x509Client("web")
  const form = new URLSearchParams({ grant_type: "client_credentials", audience: ISSUER, client_id: WEB })
  const bound = await server.fetchAs(client)(`${ISSUER}/token`, { method: "POST", body: form })
  const { access_token: token } = Object(await bound.json())
  const subject = { grant_type: GRANT_TYPES["token-exchange"], audience: API, ...access("subject", String(token)) }
  const without = await exchange({ ...spiffeJwt(await server.jwtSvid()), ...subject })
  assert.deepEqual([without.status, without.body["reason"]], [400, "proof-of-possession-missing"])
  const again = new URLSearchParams({ ...subject, client_id: WEB })
  assert.equal((await server.fetchAs(client)(`${ISSUER}/token`, { method: "POST", body: again })).status, 200)
})

test("[TX-20] a caller with an access token has to authenticate", async () => {
  const token = String(
    (await exchange({ ...jwt("subject", await server.jwtSvid()), audience: ISSUER })).body["access_token"],
  )
  const { status, body } = await exchange(access("subject", token))
  assert.deepEqual([status, body["reason"]], [400, "client-authentication-missing"])
})

test("[TX-20] client_id beside a token that speaks for itself names whom it is about", async () => {
  const good = await exchange({ ...jwt("subject", server.setup.token()), client_id: WEB })
  assert.equal(good.status, 200)
  const bad = await exchange({ ...jwt("subject", server.setup.token()), client_id: FRONT })
  assert.deepEqual([bad.status, bad.body["reason"]], [401, "client-id-mismatch"])
})

test("[JB-02] gives a token for an assertion", async () => {
  for (const assertion of [server.setup.token(), await server.jwtSvid(), ciToken({})]) {
    const { status, body } = await bearerGrant(assertion)
    assert.equal(status, 200)
    assert.equal(body["token_type"], "Bearer")
  }
})

test("[TX-06][SCA-09] iss of may_act names the trust domain of who acts, or this server, whatever the credential", async () => {
  const { client } = await server.x509Client("front")
  const byToken = { client_assertion_type: ASSERTION_TYPES.jwtBearer }
  const ways: readonly ((form: FormFields) => Promise<Answer>)[] = [
    async (form) => server.ask(form, "front"),
    async (form) =>
      server.post("/token", { ...form, ...byToken, client_assertion: server.setup.token({ serviceAccount: "front" }) }),
    async (form) => {
      const body = new URLSearchParams({ ...form, client_id: FRONT } as Record<string, string>)
      return answerOf(await server.fetchAs(client)(`${ISSUER}/token`, { method: "POST", body }))
    },
  ]
  for (const [iss, status] of [
    [ISSUER, 200],
    ["spiffe://prod.example", 200],
    ["spiffe://other.example", 400],
    [`${ISSUER}/`, 400],
    ["main", 400],
  ] as const) {
    for (const send of ways) {
      const subject_token = federatedSvid({ may_act: { sub: FRONT, iss } })
      const answer = await send({ ...EXCHANGE, subject_token, subject_token_type: TOKEN_TYPES.jwt })
      assert.equal(answer.status, status, iss)
      if (status !== 200) assert.equal(answer.body["reason"], "may-act-mismatch")
    }
  }
})

test("[JB-02] refuses an assertion that is also, or only, for the client that sends it, which an exchange may take", async () => {
  for (const audience of [[WEB], [ISSUER, WEB]]) {
    const assertion = await server.jwtSvid({ serviceAccount: "user", audience })
    const asked = { grant_type: GRANT_TYPES["jwt-bearer"], audience: API, assertion }
    const { status, body } = await server.ask(asked)
    assert.deepEqual([status, body["error"], body["reason"]], [400, "invalid_grant", "token-audience-mismatch"])
    const subject = { subject_token: assertion, subject_token_type: TOKEN_TYPES.jwt }
    const exchanged = await server.ask({ grant_type: GRANT_TYPES["token-exchange"], audience: API, ...subject })
    assert.equal(exchanged.status, 200)
  }
})

test("[JB-03] a bad assertion is an invalid grant", async () => {
  for (const assertion of ["x", federatedSvid({ exp: 1 }), ciToken({ aud: "other" })]) {
    const { status, body } = await bearerGrant(assertion)
    assert.deepEqual([status, body["error"]], [400, "invalid_grant"])
  }
})

test("[JB-06] an outside assertion with a jti is good once", async () => {
  const assertion = ciToken({})
  assert.equal((await bearerGrant(assertion)).status, 200)
  const { status, body } = await bearerGrant(assertion)
  assert.deepEqual([status, body["error"], body["reason"]], [400, "invalid_grant", "token-replayed"])
})

test("[JB-06] a jti that is no text, or too long to be remembered, does not make an outside token good for ever", async () => {
  assert.equal((await bearerGrant(ciToken({ jti: "j".repeat(1024) }))).status, 200)
  for (const jti of [7, null, ["x"], "j".repeat(1025), "j".repeat(5000)]) {
    const { status, body } = await bearerGrant(ciToken({ jti }))
    assert.deepEqual([status, body["error"], body["reason"]], [400, "invalid_grant", "token-invalid"])
  }
})

test("[EXT-01] holds outside tokens to issuer, keys, dates and audience", async () => {
  for (const [claims, reason] of [
    [{ aud: "other" }, "token-audience-mismatch"],
    [{ aud: ["assay-ci", "other"] }, "token-audience-mismatch"],
    [{ exp: 1 }, "token-expired"],
    [{ nbf: Math.floor(Date.now() / 1000) + 600 }, "token-not-yet-valid"],
    [{ iss: `${CI}/` }, "token-invalid"],
  ] satisfies [object, string][]) {
    const { status, body } = await exchange(jwt("subject", ciToken(claims)))
    assert.deepEqual([status, body["reason"]], [400, reason], JSON.stringify(claims))
  }
  const forged = makeJwtKey("RS256").token({ ...CI_CLAIMS, exp: 9e9, jti: "x" })
  assert.equal((await exchange(jwt("subject", forged))).status, 400)
})

test("[EXT-06] takes a token with the header that GitHub Actions writes, and looks at no thumbprint in it", async () => {
  const { x5t, ...more } = { x5t: "ykNaY4qM_ta4k2TgZOCEYLkcYlA", "x5t#S256": "a".repeat(43) }
  for (const header of [{ x5t }, more, { x5t, ...more }]) {
    assert.equal((await exchange(jwt("subject", ciToken({}, header)))).status, 200)
    assert.equal((await bearerGrant(ciToken({}, header))).status, 200)
  }
  for (const header of [{ x5t: "https://evil.test/keys" }, { x5t: "" }, { x5t: [x5t] }, { "x5t#S512": x5t }]) {
    const { status, body } = await exchange(jwt("subject", ciToken({}, header)))
    assert.deepEqual([status, body["reason"]], [400, "token-invalid"], JSON.stringify(header))
  }
  const forged = makeJwtKey("RS256").token({ ...CI_CLAIMS, exp: 9e9, jti: "y" }, { typ: "JWT", x5t })
  assert.equal((await exchange(jwt("subject", forged))).status, 400)
  const svid = federatedSvid({}, { x5t })
  assert.equal((await exchange(jwt("subject", svid))).status, 400)
  assert.equal((await exchange(jwt("subject", federatedSvid({})))).status, 200)
})

test("[EXT-02] a claim that is missing or does not fit its place gives no identity", async () => {
  for (const claims of [
    { environment: undefined },
    { environment: "a/b" },
    { environment: ".." },
    { repository: "acme//site" },
    { repository: "acme/../x" },
    { repository: 7 },
  ]) {
    const { status, body } = await exchange(jwt("subject", ciToken(claims)))
    assert.deepEqual([status, body["reason"]], [400, "token-identity-missing"], JSON.stringify(claims))
  }
})

test("[EXT-03] refuses a token without a required claim", async () => {
  for (const repository_owner of [undefined, "evil", ["acme"]]) {
    const { status, body } = await exchange(jwt("subject", ciToken({ repository_owner })))
    assert.deepEqual([status, body["reason"]], [400, "token-identity-missing"])
  }
})

test("[AT-07] an access token of somebody for few scopes gives its receiver no SVID of them", async () => {
  const user = await server.jwtSvid({ serviceAccount: "user" })
  const few = await exchange({ ...jwt("subject", user), audience: B, scope: "read" })
  const subject = access("subject", String(few.body["access_token"]))
  const csr = Buffer.from(makeTestCsr()).toString("base64url")
  for (const wanted of [
    { requested_token_type: TOKEN_TYPES.jwt },
    { requested_token_type: TOKEN_TYPES.x509Svid, audience: "", csr },
  ] satisfies FormFields[]) {
    const { status, body } = await server.ask({ ...EXCHANGE, ...subject, ...wanted })
    assert.deepEqual([status, body["error"], body["reason"]], [400, "access_denied", "scope-in-svid"])
  }
  assert.equal((await server.ask({ ...EXCHANGE, ...subject, scope: "read" })).status, 200)
})

test("[CC-02] scope means nothing for an SVID, and is refused", async () => {
  const csr = Buffer.from(makeTestCsr()).toString("base64url")
  for (const wanted of [
    { requested_token_type: TOKEN_TYPES.jwt },
    { requested_token_type: TOKEN_TYPES.x509Svid, audience: "", csr },
  ] satisfies FormFields[]) {
    const asked = { ...jwt("subject", await server.jwtSvid()), ...wanted }
    assert.equal((await exchange(asked)).status, 200)
    const { status, body } = await exchange({ ...asked, scope: "read" })
    assert.deepEqual([status, body["error"], body["reason"]], [400, "invalid_request", "parameter-not-allowed"])
  }
})

test("[TX-21][EXT-04] a token of others that is bound, or that somebody uses for its subject, proves nobody", async () => {
  const act = { sub: "spiffe://other.example/front" }
  for (const [claims, reason] of [
    [{ cnf: { jkt: "x" } }, "proof-of-possession-missing"],
    [{ act }, "token-delegated"],
  ] satisfies [object, string][]) {
    for (const token of [federatedSvid(claims), ciToken(claims)]) {
      const good = await server.jwtSvid()
      const exchanged = await exchange(jwt("subject", token))
      const acting = await exchange({ ...jwt("subject", good), ...jwt("actor", token) })
      const granted = await bearerGrant(token)
      assert.deepEqual(
        [exchanged, acting, granted].map(({ status, body }) => [status, body["error"], body["reason"]]),
        [
          [400, "invalid_request", reason],
          [400, "invalid_request", reason],
          [400, "invalid_grant", reason],
        ],
      )
    }
    const client = await exchange({ ...jwt("subject", await server.jwtSvid()), ...spiffeJwt(federatedSvid(claims)) })
    assert.deepEqual([client.status, client.body["error"], client.body["reason"]], [401, "invalid_client", reason])
  }
})

test("[EXT-05][REV-04] an outside token that was issued before its subject was revoked gives nothing, and a newer one does", async () => {
  const stolen = ciToken({ environment: "leaked" })
  assert.equal((await exchange(jwt("subject", stolen))).status, 200)
  const subject = "spiffe://prod.example/ci/acme/site/leaked"
  assert.equal((await server.post("/revoke", { subject, ...spiffeJwt(await server.jwtSvid()) })).status, 200)
  const now = Math.floor(Date.now() / 1000)
  for (const token of [stolen, ciToken({ environment: "leaked", iat: undefined })]) {
    const exchanged = await exchange(jwt("subject", token))
    assert.deepEqual([exchanged.status, exchanged.body["reason"]], [400, "token-revoked"])
    const granted = await bearerGrant(token)
    assert.deepEqual([granted.body["error"], granted.body["reason"]], ["invalid_grant", "token-revoked"])
  }
  // A token that was made in the second of the revocation would be revoked with the others.
  await until("the next second", () => Date.now() >= (now + 1) * 1000)
  const fresh = ciToken({ environment: "leaked", iat: now + 20 })
  assert.equal((await exchange(jwt("subject", fresh))).status, 200)
})

test("[EXT-04] refuses an outside token that is bound to a key", async () => {
  const { status, body } = await exchange(jwt("subject", ciToken({ cnf: { jkt: "x" } })))
  assert.deepEqual([status, body["reason"]], [400, "proof-of-possession-missing"])
})

function exchange(form: FormFields): Promise<Answer> {
  return server.post("/token", { grant_type: GRANT_TYPES["token-exchange"], audience: API, ...form })
}

function bearerGrant(assertion: string): Promise<Answer> {
  return server.post("/token", { grant_type: GRANT_TYPES["jwt-bearer"], audience: API, assertion })
}

function jwt(role: "subject" | "actor", token: string): FormFields {
  return { [`${role}_token`]: token, [`${role}_token_type`]: TOKEN_TYPES.jwt }
}

function access(role: "subject" | "actor", token: string): Readonly<Record<string, string>> {
  return { [`${role}_token`]: token, [`${role}_token_type`]: TOKEN_TYPES.accessToken }
}

function federatedSvid(claims: object, header: object = {}): string {
  const now = Math.floor(Date.now() / 1000)
  const own = { sub: "spiffe://other.example/app", aud: [ISSUER], iat: now, exp: now + 60 }
  return federated.token({ ...own, ...claims }, { typ: "JWT", ...header })
}

const CI_CLAIMS = {
  iss: CI,
  sub: "repo:acme/site",
  aud: "assay-ci",
  repository_owner: "acme",
  repository: "acme/site",
  environment: "live",
}

function ciToken(claims: object, header: object = {}): string {
  const now = Math.floor(Date.now() / 1000)
  return ci.token({ ...CI_CLAIMS, iat: now, exp: now + 300, jti: randomUUID(), ...claims }, { typ: "JWT", ...header })
}
