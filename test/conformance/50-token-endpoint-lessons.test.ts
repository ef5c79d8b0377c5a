import assert from "node:assert/strict"
import { after, test } from "node:test"
import type { OAuthCall } from "../../src/app/exchange/answer-token-request.ts"
import { toIdentityError } from "../../src/core/errors.ts"
import { parseForm } from "../../src/core/oauth/form.ts"
import { REPEATABLE } from "../../src/core/oauth/token-request.ts"
import { GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { dpopProof } from "../support/dpop-proof.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { makeTestCsr } from "../support/test-csr.ts"
import { ISSUER, WEB } from "../support/token-kinds.ts"
import { API, openTokenWorld, USER, WORLD_NOW } from "../support/token-world.ts"

/** What went wrong at others' token endpoints, tried on every way to get a token here: one place decides, so none may differ. */
const world = await openTokenWorld()
after(() => world[Symbol.asyncDispose]())

type Fields = Readonly<Record<string, string>>
type Route = () => Fields

const subject = (claims: object = {}) => ({
  subject_token: world.token("JWT-SVID", { sub: USER, ...claims }),
  subject_token_type: TOKEN_TYPES.jwt,
})
const actor = () => ({ actor_token: world.token("JWT-SVID"), actor_token_type: TOKEN_TYPES.jwt })
const exchange = { grant_type: GRANT_TYPES["token-exchange"] }
const bearer = { grant_type: GRANT_TYPES["jwt-bearer"] }
const assertion = (claims: object = {}) => ({ assertion: world.token("JWT-SVID", { sub: USER, ...claims }) })

/** Every grant, by a client that authenticates and, where that can be, by one that does not. */
const ROUTES: Readonly<Record<string, Route>> = {
  client_credentials: () => ({ grant_type: GRANT_TYPES.client_credentials, ...world.authentication() }),
  "token-exchange": () => ({ ...exchange, ...subject() }),
  "token-exchange, authenticated": () => ({ ...exchange, ...subject(), ...world.authentication() }),
  "token-exchange, delegated": () => ({ ...exchange, ...subject(), ...actor() }),
  "token-exchange, delegated, authenticated": () => ({
    ...exchange,
    ...subject(),
    ...actor(),
    ...world.authentication(),
  }),
  "jwt-bearer": () => ({ ...bearer, ...assertion() }),
  "jwt-bearer, authenticated": () => ({ ...bearer, ...assertion(), ...world.authentication() }),
}
const csr = Buffer.from(makeTestCsr({})).toString("base64url")
const PRODUCTS: Readonly<Record<string, Fields>> = {
  "access token": { audience: API },
  "JWT-SVID": { audience: API, requested_token_type: TOKEN_TYPES.jwt },
  "X.509-SVID": { requested_token_type: TOKEN_TYPES.x509Svid, csr },
}

interface Lesson {
  readonly id: string
  readonly what: string
  readonly change?: (fields: Fields) => Fields
  readonly more?: (fields: Fields) => Partial<OAuthCall>
  /** Why it means nothing for a route whose name begins like this. */
  readonly without?: Readonly<Record<string, string>>
  readonly reason: string | readonly string[]
}

const proof = (url = `${ISSUER}/token`) => dpopProof(world.keys.proof, { method: "POST", url, now: WORLD_NOW })
const OWN = { client_credentials: "there is no token but the client's own" }
const otherKey = makeJwtKey()
const boundTo = (key: typeof otherKey) => ({
  subject_token: world.token("access token", { sub: USER, cnf: { jkt: key.authority.kid } }),
  subject_token_type: TOKEN_TYPES.accessToken,
})
const NOT_EXCHANGE = { ...OWN, "jwt-bearer": "takes no access token" }

const LESSONS: readonly Lesson[] = [
  { id: "TX-17", what: "no target", change: (all) => ({ ...all, audience: "" }), reason: "target-missing" },
  {
    id: "TX-16",
    what: "a target that nobody has a rule for",
    change: (all) => ({ ...all, audience: "https://nobody.example" }),
    reason: "audience-unknown",
  },
  {
    id: "TX-11",
    what: "a scope that the target does not have",
    change: (all) => ({ ...all, scope: "read admin" }),
    reason: "scope-not-allowed",
  },
  {
    id: "CC-02",
    what: "subject_token where it means nothing",
    change: (all) => ({ ...all, subject_token: "x" }),
    without: { "token-exchange": "has one" },
    reason: "parameter-not-allowed",
  },
  {
    id: "CC-02",
    what: "assertion where it means nothing",
    change: (all) => ({ ...all, assertion: "x" }),
    without: { "jwt-bearer": "has one" },
    reason: "parameter-not-allowed",
  },
  {
    id: "TX-01",
    what: "an empty token instead of the client's own",
    change: (all) => ({ ...all, subject_token: "", assertion: "" }),
    without: OWN,
    reason: "parameter-missing",
  },
  {
    id: "CC-07",
    what: "a client secret besides or alone",
    change: (all) => ({ ...all, client_secret: "x" }),
    reason: ["client-authentication-repeated", "client-authentication-unsupported"],
  },
  {
    id: "CC-07",
    what: "an Authorization header besides or alone",
    more: () => ({ authorization: "Bearer x" }),
    reason: ["client-authentication-repeated", "client-authentication-unsupported"],
  },
  {
    id: "SCA-01",
    what: "client_id of somebody else",
    change: (all) => ({ ...all, client_id: "spiffe://prod.example/ns/shop/sa/other" }),
    reason: "client-id-mismatch",
  },
  {
    id: "RAR-01",
    what: "authorization_details",
    change: (all) => ({ ...all, authorization_details: "[]" }),
    reason: "authorization-details-unsupported",
  },
  { id: "DP-02", what: "two DPoP proofs", more: () => ({ dpop: [proof(), proof()] }), reason: "dpop-header-repeated" },
  {
    id: "DP-06",
    what: "a DPoP proof for another URL",
    more: () => ({ dpop: [proof(`${ISSUER}/introspect`)] }),
    reason: "dpop-url-mismatch",
  },
  {
    id: "TX-12",
    what: "may_act that names somebody else",
    change: (all) => {
      const claims = { may_act: { sub: "spiffe://prod.example/ns/shop/sa/other" } }
      return { ...all, ...("assertion" in all ? assertion(claims) : subject(claims)) }
    },
    without: OWN,
    reason: "may-act-mismatch",
  },
  {
    id: "TX-15",
    what: "a bound subject token without proof",
    change: (all) => ({ ...all, ...boundTo(otherKey), ...world.authentication() }),
    without: NOT_EXCHANGE,
    reason: "proof-of-possession-missing",
  },
  {
    id: "TX-15",
    what: "a bound subject token with a proof of another key",
    change: (all) => ({ ...all, ...boundTo(otherKey), ...world.authentication() }),
    more: () => ({ dpop: [proof()] }),
    without: NOT_EXCHANGE,
    reason: "proof-of-possession-missing",
  },
  {
    id: "TX-20",
    what: "an access token instead of who it is about",
    change: (all) => {
      const alone = { client_assertion: "", client_assertion_type: "", actor_token: "", actor_token_type: "" }
      const token = { subject_token: world.token("access token", { sub: USER }) }
      return { ...all, ...alone, ...token, subject_token_type: TOKEN_TYPES.accessToken }
    },
    without: NOT_EXCHANGE,
    reason: "client-authentication-missing",
  },
]

for (const [name, route] of Object.entries(ROUTES)) {
  for (const [product, wanted] of Object.entries(PRODUCTS)) {
    const isDelegatedSvid = name.includes("delegated") && product !== "access token"
    test(`[TX-16][AT-07] ${name}, ${product}: is given ${isDelegatedSvid ? "to nobody" : "where the rules say so"}`, async () => {
      const answer = world.ask({ ...route(), ...wanted })
      if (isDelegatedSvid) await assert.rejects(answer, { reason: "delegation-in-svid" })
      else assert.ok((await answer).access_token.length > 0)
    })
  }

  for (const { id, what, change = (all: Fields) => all, more = () => ({}), without = {}, reason } of LESSONS) {
    if (Object.keys(without).some((start) => name.startsWith(start))) continue
    test(`[${id}] ${name}: refuses ${what}`, async () => {
      const fields = change({ ...route(), ...PRODUCTS["access token"] })
      await assert.rejects(world.ask(fields, more(fields)), (thrown) => {
        const error = toIdentityError(thrown)
        assert.ok([reason].flat().includes(error.reason ?? ""), `${error.code} ${error.reason}`)
        return true
      })
    })
  }

  test(`[DP-04] ${name}: a proof is good once`, async () => {
    const dpop = [proof()]
    const ask = () => world.ask({ ...route(), audience: API }, { dpop })
    assert.equal((await ask()).token_type, "DPoP")
    await assert.rejects(ask(), { reason: "dpop-replayed" })
  })

  test(`[CC-02] ${name}: no parameter may come twice but those that are lists`, () => {
    for (const field of Object.keys({ ...route(), scope: "read", client_id: WEB, resource: API, audience: API })) {
      const ask = () => parseForm(`${field}=a&x=y&${field}=b`, REPEATABLE)
      if (REPEATABLE.has(field)) assert.deepEqual(ask().all(field), ["a", "b"])
      else assert.throws(ask, { reason: "parameter-repeated" })
    }
  })
}

test("[TX-16] every grant is among the routes", () => {
  const grants = new Set(Object.values(ROUTES).map((route) => route()["grant_type"]))
  assert.deepEqual(grants, new Set<string | undefined>(Object.values(GRANT_TYPES)))
})

test("[RPL-02] one jti is good once as a client assertion, once as an assertion grant and once as a proof", async () => {
  const jti = "one-for-all"
  const spent = () => ({
    grant_type: GRANT_TYPES["jwt-bearer"],
    audience: API,
    assertion: world.token("outside token", { jti }),
    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    client_assertion: world.token("client assertion", { jti }),
  })
  const dpop = () => [world.token("DPoP proof", { jti })]
  assert.equal((await world.ask(spent(), { dpop: dpop() })).token_type, "DPoP")
  await assert.rejects(world.ask(spent()), { reason: "client-assertion-replayed" })
  const alone = { ...spent(), client_assertion: "", client_assertion_type: "" }
  await assert.rejects(world.ask(alone), { reason: "token-replayed" })
})

// Last: from here on the subjects of these tests are revoked.
test("[REV-04] tokens of a revoked subject are refused on every route", async () => {
  for (const text of [USER, WEB]) {
    const revoked = { subject: parseSpiffeId(text), issuedUntil: WORLD_NOW }
    const audit = { type: "subject.revoked" as const, at: WORLD_NOW, actor: "test", requestId: "test", ...revoked }
    await world.endpoint.revocations.revoke({ kind: "subject", until: WORLD_NOW + 3600, ...revoked }, audit)
  }
  for (const [name, route] of Object.entries(ROUTES)) {
    await assert.rejects(world.ask({ ...route(), audience: API }), { reason: "token-revoked" }, name)
  }
})
