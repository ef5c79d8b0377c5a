import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { DPOP_ALGORITHMS } from "../../src/core/oauth/dpop-proof.ts"
import { jwksMaxAge } from "../../src/core/oauth/oidc-jwks.ts"
import { CLIENT_AUTH_METHODS, GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { dpopProof } from "../support/dpop-proof.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { API, claimsOf, ISSUER, type JsonRecord, openTokenServer, type TokenServer } from "../support/token-server.ts"

const PATH_ISSUER = "https://assay.example/tenants/one"
const RULES = {
  exports: [{ name: "own", subject: "*", audience: "*" }],
  accepts: [{ name: "api", audience: "https://api.example", subject: "*" }],
}

let server: TokenServer
let tenant: TokenServer
before(async () => {
  server = await openTokenServer({ tokenRules: RULES })
  tenant = await openTokenServer({ tokenRules: RULES, oauth: { issuer: PATH_ISSUER } })
})
after(async () => {
  await server[Symbol.asyncDispose]()
  await tenant[Symbol.asyncDispose]()
})

test("[DISC-01][DISC-03] OIDC discovery is found at the issuer, and names it as tokens do", async () => {
  for (const [at, issuer] of [
    [server, ISSUER],
    [tenant, PATH_ISSUER],
  ] as const) {
    const { status, body } = await read(at, `${issuer}/.well-known/openid-configuration`)
    assert.equal(status, 200)
    assert.equal(body["issuer"], issuer)
    const { body: answer } = await tokenOf(at, "https://api.example")
    assert.equal(claimsOf(answer["access_token"])["iss"], issuer)
  }
})

test("[DISC-02] RFC 8414 metadata is found inserted and appended, and is the same document", async () => {
  const { body } = await read(tenant, `${PATH_ISSUER}/.well-known/openid-configuration`)
  for (const url of [
    "https://assay.example/.well-known/oauth-authorization-server/tenants/one",
    `${PATH_ISSUER}/.well-known/oauth-authorization-server`,
  ]) {
    assert.deepEqual((await read(tenant, url)).body, body)
  }
  const root = await read(server, `${ISSUER}/.well-known/oauth-authorization-server`)
  assert.equal(root.body["issuer"], ISSUER)
})

test("[DISC-02] every endpoint that the metadata of an issuer with a path names is there", async () => {
  const { body } = await read(tenant, `${PATH_ISSUER}/.well-known/openid-configuration`)
  for (const name of ["token_endpoint", "introspection_endpoint", "revocation_endpoint"]) {
    const response = await tenant.fetch(String(body[name]), { method: "POST", body: new URLSearchParams({}) })
    assert.equal(response.status, 400, name)
  }
  assert.equal((await read(tenant, String(body["jwks_uri"]))).status, 200)
})

test("[DISC-04] protected-resource metadata names the issuer as its authorization server", async () => {
  const { body } = await read(server, `${ISSUER}/.well-known/oauth-protected-resource`)
  assert.deepEqual([body["resource"], body["authorization_servers"]], [ISSUER, [ISSUER]])
  const inserted = await read(tenant, "https://assay.example/.well-known/oauth-protected-resource/tenants/one")
  assert.equal(inserted.body["resource"], PATH_ISSUER)
})

test("[DISC-05][DISC-08][DISC-09][DISC-10][DISC-11][SCA-07][DP-03] the metadata has what the standards demand", async () => {
  const { body } = await read(server, `${ISSUER}/.well-known/openid-configuration`)
  for (const name of ["authorization_endpoint", "token_endpoint", "jwks_uri"]) {
    assert.ok(String(body[name]).startsWith(`${ISSUER}/`), name)
  }
  assert.deepEqual(body["response_types_supported"], ["id_token"])
  assert.deepEqual(body["subject_types_supported"], ["public"])
  assert.ok(list(body, "id_token_signing_alg_values_supported").includes("RS256"))
  assert.deepEqual(body["grant_types_supported"], Object.values(GRANT_TYPES))
  for (const endpoint of ["token", "introspection", "revocation"]) {
    assert.deepEqual(body[`${endpoint}_endpoint_auth_methods_supported`], CLIENT_AUTH_METHODS)
    const algorithms = list(body, `${endpoint}_endpoint_auth_signing_alg_values_supported`)
    assert.ok(algorithms.includes("ES256") && !algorithms.includes("none"))
  }
  assert.deepEqual(body["dpop_signing_alg_values_supported"], DPOP_ALGORITHMS)
  assert.equal(body["tls_client_certificate_bound_access_tokens"], true)
  for (const [name, value] of Object.entries(body)) assert.ok(!Array.isArray(value) || value.length > 0, name)
})

test("[DISC-07] nobody logs in", async () => {
  const { status, body } = await read(server, `${ISSUER}/authorize?response_type=code`)
  assert.deepEqual([status, body["reason"]], [400, "unsupported-response-type"])
})

test("[DISC-12] answers HEAD with the headers of GET, and names both to who asks by another method", async () => {
  for (const path of ["/.well-known/openid-configuration", "/keys"]) {
    const [get, head] = await Promise.all(["GET", "HEAD"].map((method) => server.fetch(`${ISSUER}${path}`, { method })))
    assert.deepEqual([head?.status, await head?.text()], [200, ""])
    for (const name of ["etag", "cache-control", "content-type", "content-length"]) {
      assert.equal(head?.headers.get(name), get?.headers.get(name), name)
    }
    const options = await server.fetch(`${ISSUER}${path}`, { method: "OPTIONS" })
    assert.deepEqual([options.status, options.headers.get("allow")], [405, "GET, HEAD"])
  }
})

test("[DISC-12] documents can be cached and checked, by any origin", async () => {
  for (const path of ["/.well-known/openid-configuration", "/keys"]) {
    const first = await server.fetch(`${ISSUER}${path}`)
    assert.match(first.headers.get("content-type") ?? "", /^application\/json/)
    assert.equal(first.headers.get("access-control-allow-origin"), "*")
    assert.match(first.headers.get("cache-control") ?? "", /^public, max-age=\d+$/)
    const etag = first.headers.get("etag") ?? ""
    for (const [header, status] of [
      [etag, 304],
      [`W/${etag}, "x"`, 304],
      ['"x"', 200],
    ] as const) {
      const again = await server.fetch(`${ISSUER}${path}`, { headers: { "if-none-match": header } })
      assert.equal(again.status, status)
    }
    assert.equal((await server.fetch(`${ISSUER}${path}`, { method: "HEAD" })).status, 200)
    assert.equal((await server.fetch(`${ISSUER}${path}`, { method: "POST" })).status, 405)
  }
})

test("[DISC-14] the documents are the same under another name of the server", async () => {
  const inCluster = await read(server, "https://assay.example/.well-known/openid-configuration", "127.0.0.1")
  assert.equal(inCluster.body["issuer"], ISSUER)
})

test("[DISC-15] endpoints can be elsewhere: they are named and served there, and DPoP proofs are for them", async () => {
  const endpoints = "https://tokens.example/assay"
  await using apart = await openTokenServer({
    config: { serving: { dns_names: ["assay.example", "tokens.example"], ip_addresses: ["127.0.0.1"] } },
    oauth: { issuer: ISSUER, endpoints },
  })
  const { body } = await read(apart, `${ISSUER}/.well-known/openid-configuration`)
  assert.deepEqual([body["issuer"], body["jwks_uri"]], [ISSUER, `${ISSUER}/keys`])
  for (const [name, path] of [
    ["token_endpoint", "/token"],
    ["introspection_endpoint", "/introspect"],
    ["revocation_endpoint", "/revoke"],
    ["authorization_endpoint", "/authorize"],
  ] as const) {
    assert.equal(body[name], `${endpoints}${path}`)
  }
  const key = makeJwtKey()
  const ask = async (url: string) => {
    const dpop = dpopProof(key, { method: "POST", url, now: Math.floor(Date.now() / 1000) })
    const fields = { subject_token: apart.setup.token(), subject_token_type: TOKEN_TYPES.jwt, audience: API }
    const form = new URLSearchParams({ grant_type: GRANT_TYPES["token-exchange"], ...fields })
    return apart.fetch(`${endpoints}/token`, { method: "POST", body: form, headers: { dpop } })
  }
  assert.equal((await ask(`${endpoints}/token`)).status, 200)
  assert.equal((await ask(`${ISSUER}/token`)).status, 400)
})

test("[JWKS-01][JWKS-11][GCP-01][AWS-03] keys have the members that relying parties take, and no other", async () => {
  const { keys } = (await read(server, `${ISSUER}/keys`)).body
  assert.ok(Array.isArray(keys))
  assert.deepEqual(
    keys.map(({ kty, alg }) => [kty, alg]).toSorted((left, right) => String(left).localeCompare(String(right))),
    [
      ["EC", "ES256"],
      ["RSA", "RS256"],
    ],
  )
  const own: Readonly<Record<string, readonly string[]>> = { EC: ["crv", "x", "y"], RSA: ["e", "n"] }
  for (const key of keys) {
    assert.deepEqual(Object.keys(key).toSorted(), ["kty", "kid", "use", "alg", ...(own[key.kty] ?? [])].toSorted())
    assert.equal(key.use, "sig")
  }
})

test("[JWKS-02] the SPIFFE bundle has the same keys for another use", async () => {
  const { keys } = (await read(server, `${ISSUER}/keys`)).body
  assert.ok(Array.isArray(keys))
  const { jwtAuthorities } = server.pipeline.trust.snapshot().own
  assert.deepEqual(
    keys.map(({ kid }) => kid),
    jwtAuthorities.map(({ kid }) => kid),
  )
})

test("[JWKS-09] keys may be kept for a quarter of the publish-ahead time, and briefly while they change", () => {
  assert.deepEqual(
    [
      jwksMaxAge(3600, false),
      jwksMaxAge(400, false),
      jwksMaxAge(3600, true),
      jwksMaxAge(40, true),
      jwksMaxAge(0, false),
    ],
    [300, 100, 60, 10, 0],
  )
})

async function tokenOf(at: TokenServer, audience: string, type: string = TOKEN_TYPES.accessToken) {
  const answer = await at.post("/token", {
    grant_type: GRANT_TYPES["token-exchange"],
    audience,
    subject_token: at.setup.token(),
    subject_token_type: TOKEN_TYPES.jwt,
    requested_token_type: type,
  })
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  return answer
}

async function read(at: TokenServer, url: string, host?: string) {
  const response = await at.fetch(url, host === undefined ? {} : { headers: { host } })
  return { status: response.status, body: Object(await response.json()) as JsonRecord }
}

function list(record: JsonRecord, name: string): readonly unknown[] {
  const value = record[name]
  return Array.isArray(value) ? value : []
}
