import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { ASSERTION_TYPES } from "../../src/core/oauth/urns.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { type OidcProviderPeer, startOidcProviderPeer } from "../support/oidc-provider-peer.ts"
import { API, type FormFields, ISSUER, openTokenServer, type TokenServer } from "../support/token-server.ts"

/**
 * What both implement is asked of both. `oidc-provider` is the oracle: status and `error` are the same, but where a line says
 * what ours is and why.
 */
let ours: TokenServer
let oracle: OidcProviderPeer
const key = makeJwtKey()
const dpopKey = makeJwtKey()

before(async () => {
  const { kid, jwk } = key.authority
  const publicKey = { ...jwk, kid, use: "sig", alg: "ES256" }
  oracle = await startOidcProviderPeer(ISSUER, publicKey)
  const client = { client_id: "billing", spiffe_id: "spiffe://prod.example/vm/billing" }
  ours = await openTokenServer({
    files: (folder) => writeFile(join(folder, "billing.jwks"), JSON.stringify({ keys: [publicKey] })),
    oauth: { clients: [{ ...client, keys: { jwks_file: "folder:billing.jwks" } }] },
  })
})
after(async () => {
  await ours[Symbol.asyncDispose]()
  await oracle[Symbol.asyncDispose]()
})

interface Case {
  readonly path?: string
  /** Sent as it is made, once for each server. */
  readonly form: () => FormFields
  readonly headers?: () => Readonly<Record<string, string>>
  /** Sent twice, and the second answer counts. */
  readonly twice?: boolean
  /** Where ours is another one: `[status, error, why]`. */
  readonly differs?: readonly [number, string | undefined, string]
}

const credentials = () => ({ grant_type: "client_credentials", resource: API, ...client() })

const CASES: Readonly<Record<string, Case>> = {
  "a good request": { form: credentials },
  "no grant_type": { form: () => ({ resource: API, ...client() }) },
  "an unknown grant_type": { form: () => ({ ...credentials(), grant_type: "urn:x" }) },
  "no client": {
    form: () => ({ grant_type: "client_credentials", resource: API }),
    differs: [
      401,
      "invalid_client",
      "RFC 6749 5.2 has one code for a client that does not authenticate; the oracle takes a missing client_id for a missing parameter",
    ],
  },
  "a scope outside": {
    form: () => ({ ...credentials(), scope: "admin" }),
    differs: [
      400,
      "invalid_scope",
      "RFC 6749 3.3 lets a server leave scopes out or refuse; what is left out surprises its user",
    ],
  },
  "a resource that is relative": { form: () => ({ ...credentials(), resource: "api" }) },
  "a resource with a fragment": { form: () => ({ ...credentials(), resource: `${API}#x` }) },
  "a parameter twice": { form: () => ({ ...credentials(), scope: ["read", "write"] }) },
  "an assertion of another key": { form: () => ({ ...credentials(), ...client({}, {}, makeJwtKey()) }) },
  "an assertion that has expired": { form: () => ({ ...credentials(), ...client({ exp: now() - 60 }) }) },
  "an assertion for another audience": {
    form: () => ({ ...credentials(), ...client({ aud: "https://other.example" }) }),
  },
  "an assertion without jti": { form: () => ({ ...credentials(), ...client({ jti: undefined }) }) },
  "an assertion of an unknown client": {
    form: () => ({ ...credentials(), ...client({ iss: "x", sub: "x" }) }),
    differs: [401, "invalid_client", "RFC 7523 3.2"],
  },
  "an assertion whose iss and sub differ": { form: () => ({ ...credentials(), ...client({ iss: "x" }) }) },
  "an assertion used twice": { form: once(credentials), twice: true },
  "an assertion with alg none": { form: () => ({ ...credentials(), ...client({}, { alg: "none" }) }) },
  "an assertion that is no JWT": {
    form: () => ({ ...credentials(), client_assertion: "x" }),
    differs: [401, "invalid_client", "RFC 7523 3.2"],
  },
  "an assertion of an unknown type": {
    form: () => ({ ...credentials(), client_assertion_type: "urn:x" }),
    differs: [401, "invalid_client", "a way to authenticate that is not offered; RFC 6749 5.2 names this case"],
  },
  "a secret beside an assertion": { form: () => ({ ...credentials(), client_secret: "x" }) },
  "a secret": {
    form: () => ({ grant_type: "client_credentials", resource: API, client_id: "billing", client_secret: "x" }),
  },
  "a good DPoP proof": { form: credentials, headers: () => ({ dpop: proof({}) }) },
  "a DPoP proof for another method": { form: credentials, headers: () => ({ dpop: proof({ htm: "GET" }) }) },
  "a DPoP proof for another URL": { form: credentials, headers: () => ({ dpop: proof({ htu: `${ISSUER}/x` }) }) },
  "a DPoP proof that is old": { form: credentials, headers: () => ({ dpop: proof({ iat: now() - 3600 }) }) },
  "a DPoP proof without jti": { form: credentials, headers: () => ({ dpop: proof({ jti: undefined }) }) },
  "a DPoP proof of another type": { form: credentials, headers: () => ({ dpop: proof({}, { typ: "JWT" }) }) },
  "a DPoP proof with another key": {
    form: credentials,
    headers: () => ({ dpop: proof({}, { jwk: key.authority.jwk }) }),
  },
  "a DPoP proof that is no JWT": { form: credentials, headers: () => ({ dpop: "x" }) },
  "introspection without a client": {
    path: "/introspect",
    form: () => ({ token: "x" }),
    differs: [401, "invalid_client", "as above"],
  },
  "introspection without a token": { path: "/introspect", form: () => client() },
  "introspection of garbage": { path: "/introspect", form: () => ({ token: "x", ...client() }) },
  "revocation without a token": { path: "/revoke", form: () => client() },
  "revocation of garbage": { path: "/revoke", form: () => ({ token: "x", ...client() }) },
}

for (const [what, one] of Object.entries(CASES)) {
  test(`${what} is answered as oidc-provider does${one.differs === undefined ? "" : ", but for a reason"}`, async () => {
    const mine = await send(ours.fetch, one)
    const theirs = await send(oracle.fetch, one)
    if (one.differs === undefined) return assert.deepEqual(mine, theirs)
    const [status, error] = one.differs
    assert.deepEqual(mine, { status, error })
    assert.notDeepEqual(theirs, mine, "the oracle answers as ours: take the difference out")
  })
}

async function send(to: typeof fetch, { path = "/token", form, headers, twice }: Case) {
  const ask = async () => {
    const pairs = Object.entries(form()).flatMap(([name, value]) =>
      [value].flat().map((one): [string, string] => [name, one]),
    )
    const init = { method: "POST", body: new URLSearchParams(pairs), headers: headers?.() ?? {} }
    const response = await to(`${ISSUER}${path}`, init)
    const text = await response.text()
    return { status: response.status, error: text === "" ? undefined : Object(JSON.parse(text)).error }
  }
  if (twice === true) await ask()
  return ask()
}

/** The same form each time. */
function once(make: () => FormFields): () => FormFields {
  let made: FormFields | undefined
  return () => (made ??= make())
}

function client(claims: object = {}, header: object = {}, by = key): Readonly<Record<string, string>> {
  const own = { iss: "billing", sub: "billing", aud: ISSUER, iat: now(), exp: now() + 60, jti: randomUUID() }
  return {
    client_id: "billing",
    client_assertion_type: ASSERTION_TYPES.jwtBearer,
    client_assertion: by.token({ ...own, ...claims }, header),
  }
}

function proof(claims: object, header: object = {}): string {
  const own = { jti: randomUUID(), htm: "POST", htu: `${ISSUER}/token`, iat: now() }
  const { jwk } = dpopKey.authority
  return dpopKey.token({ ...own, ...claims }, { kid: undefined, typ: "dpop+jwt", jwk, ...header })
}

function now(): number {
  return Math.floor(Date.now() / 1000)
}
