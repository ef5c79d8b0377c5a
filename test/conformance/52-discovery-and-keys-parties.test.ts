import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import type { ServerConfig } from "../../src/main/config/server-config.ts"
import { type PartyName, type RelyingView, refusalsOf } from "../support/relying-parties.ts"
import { makeKeyPair } from "../support/test-ca.ts"
import { makeTestCsr } from "../support/test-csr.ts"
import {
  claimsOf,
  headerOf,
  ISSUER,
  type JsonRecord,
  openTokenServer,
  type TokenServer,
} from "../support/token-server.ts"

/** As each relying party is configured by default, or by its documentation. */
const AUDIENCES = {
  aws: "sts.amazonaws.com",
  gcp: "https://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/assay",
  entra: "api://AzureADTokenExchange",
  vault: "https://vault.example",
  "kube-apiserver": "https://kubernetes.example",
} as const satisfies Record<PartyName, string>
const PARTY_NAMES = Object.keys(AUDIENCES) as readonly PartyName[] // the keys of a literal
const PRODUCT = ["access-token", "jwt-svid"]
const RULES = {
  exports: [{ name: "own", subject: "*", audience: "*" }],
  accepts: PARTY_NAMES.map((name) => {
    const algorithm = name === "entra" ? "RS256" : "ES256"
    return { name, audience: AUDIENCES[name], subject: "*", product: PRODUCT, algorithm, ttl: "10m" }
  }),
}

let server: TokenServer
let published: Pick<RelyingView, "keys" | "discovery">
before(async () => {
  server = await openTokenServer({ tokenRules: RULES, config: { jwt: { ttl: "1h" } } })
  const discovery = await read(`${ISSUER}/.well-known/openid-configuration`)
  const { keys } = await read(String(discovery["jwks_uri"]))
  assert.ok(Array.isArray(keys))
  published = { keys, discovery }
})
after(() => server[Symbol.asyncDispose]())

/** Every way to get a token that a relying party may be shown. */
const PRODUCTS: Readonly<Record<string, (audience: string) => Promise<string>>> = {
  "an access token": (audience) => exchange(audience, TOKEN_TYPES.accessToken),
  "a JWT-SVID of the token endpoint": (audience) => exchange(audience, TOKEN_TYPES.jwt),
  "a JWT-SVID of the identity API": (audience) => server.jwtSvid({ audience: [audience] }),
}

const RULES_OF: Readonly<Record<PartyName, string>> = {
  aws: "[AWS-01][AWS-02][AWS-03][AWS-04]",
  gcp: "[GCP-01][GCP-02][GCP-03]",
  entra: "[ENT-01][ENT-02]",
  vault: "[VLT-01]",
  "kube-apiserver": "[KAS-02]",
}

for (const party of PARTY_NAMES) {
  for (const [product, make] of Object.entries(PRODUCTS)) {
    test(`${RULES_OF[party]} ${party} takes ${product} that was made for it`, async () => {
      const view = viewOf(await make(AUDIENCES[party]), AUDIENCES[party])
      assert.deepEqual(await refusalsOf(party, view), [])
    })
  }
}

test("[JWKS-12] JWT-SVIDs are signed RS256 where a rule says so of one of their audiences, and ES256 else", async () => {
  const algorithmOf = async (...audience: readonly string[]) => headerOf(await server.jwtSvid({ audience }))["alg"]
  assert.equal(await algorithmOf("https://nobody.example"), "ES256")
  assert.equal(await algorithmOf(AUDIENCES.vault), "ES256")
  assert.equal(await algorithmOf(AUDIENCES.vault, AUDIENCES.entra), "RS256")
})

test("[ENT-01] JWT-SVIDs of the identity API are for Entra where keys.jwt_algorithm is rsa-2048", async () => {
  const tune = (config: ServerConfig) => ({ ...config, keys: { ...config.keys, jwtAlgorithm: "rsa-2048" as const } })
  await using rsa = await openTokenServer({ tune })
  assert.equal(headerOf(await rsa.jwtSvid({ audience: [AUDIENCES.entra] }))["alg"], "RS256")
})

test("[ENT-02] an access token for one audience has it as a text", async () => {
  const { aud } = claimsOf(await exchange(AUDIENCES.entra, TOKEN_TYPES.accessToken))
  assert.equal(aud, AUDIENCES.entra)
})

test("[AWS-02][ENT-02] what is made for one relying party is refused by another, and a token for two by those that take one", async () => {
  const token = await PRODUCTS["an access token"]?.(AUDIENCES.vault)
  for (const party of PARTY_NAMES.filter((name) => name !== "vault")) {
    assert.ok((await refusalsOf(party, viewOf(token ?? "", AUDIENCES[party]))).includes("audience"), party)
  }
  const both = await server.jwtSvid({ audience: [AUDIENCES.aws, AUDIENCES.entra] })
  assert.deepEqual(await refusalsOf("aws", viewOf(both, AUDIENCES.aws)), ["AWS-02"])
  assert.deepEqual(await refusalsOf("entra", viewOf(both, AUDIENCES.entra)), ["ENT-02"])
})

for (const [what, party, id, change] of [
  ["another algorithm", "aws", "AWS-01", (view) => ({ ...view, header: { ...view.header, alg: "EdDSA" } })],
  ["a fraction of a second", "aws", "AWS-02", (view) => ({ ...view, claims: { ...view.claims, exp: 1.5 } })],
  ["key_ops", "aws", "AWS-03", (view) => withKeys(view, { key_ops: ["verify"] })],
  ["an http issuer", "aws", "AWS-04", (view) => ({ ...view, discovery: { ...view.discovery, issuer: "http://x" } })],
  ["a member more", "gcp", "GCP-01", (view) => withKeys(view, { x5t: "x" })],
  ["a long life", "gcp", "GCP-02", (view) => ({ ...view, claims: { ...view.claims, exp: 9e9 } })],
  ["a long audience", "gcp", "GCP-03", (view) => ({ ...view, claims: { ...view.claims, aud: "a".repeat(257) } })],
  ["a long subject", "entra", "ENT-02", (view) => ({ ...view, claims: { ...view.claims, sub: "s".repeat(601) } })],
  ["no jti", "kube-apiserver", "KAS-02", (view) => ({ ...view, claims: { ...view.claims, jti: undefined } })],
  ["no nbf", "kube-apiserver", "KAS-02", (view) => ({ ...view, claims: { ...view.claims, nbf: undefined } })],
] satisfies readonly (readonly [string, PartyName, string, (view: RelyingView) => RelyingView])[]) {
  test(`[${id}] the table notices ${what}`, async () => {
    const audience = AUDIENCES[party]
    const view = change(viewOf(await exchange(audience, TOKEN_TYPES.accessToken), audience))
    assert.ok((await refusalsOf(party, view)).includes(id))
  })
}

test("[RA-01] the roots are trust anchors as Roles Anywhere takes them, and X.509-SVIDs are leaves below them", async () => {
  const [root] = server.pipeline.trust.snapshot().own.x509Authorities.map(parseCertificate)
  assert.ok(root?.isCa && root.keyUsage?.has("keyCertSign"))
  const order = {
    token: server.setup.token(),
    key: { kind: "csr" as const, der: makeTestCsr({ keyPair: makeKeyPair() }) },
    spiffeId: undefined,
    ttl: undefined,
  }
  const svid = await server.pipeline.issueX509({ ...order, requestId: "test" }, new AbortController().signal)
  const [leaf, issuing] = svid.chain.map(parseCertificate)
  assert.ok(leaf !== undefined && !leaf.isCa && leaf.keyUsage?.has("digitalSignature"))
  assert.deepEqual(leaf.uriNames, ["spiffe://prod.example/ns/shop/sa/web"])
  assert.ok(issuing?.isCa)
})

function viewOf(token: string, audience: string): RelyingView {
  return { ...published, token, audience, header: headerOf(token), claims: claimsOf(token) }
}

function withKeys(view: RelyingView, members: JsonRecord): RelyingView {
  return { ...view, keys: view.keys.map((key) => ({ ...key, ...members })) }
}

async function exchange(audience: string, type: string): Promise<string> {
  const answer = await server.post("/token", {
    grant_type: GRANT_TYPES["token-exchange"],
    audience,
    subject_token: server.setup.token(),
    subject_token_type: TOKEN_TYPES.jwt,
    requested_token_type: type,
  })
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  return String(answer.body["access_token"])
}

async function read(url: string): Promise<JsonRecord> {
  return Object(await (await server.fetch(url)).json()) as JsonRecord
}
