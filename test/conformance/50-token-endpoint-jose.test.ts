import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { rememberVerified } from "../../src/adapters/jose/remember-verified.ts"
import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { makeProveAccessToken } from "../../src/app/attest/prove-access-token.ts"
import { makeProveClientAssertion } from "../../src/app/attest/prove-client-assertion.ts"
import { makeProveExternalToken } from "../../src/app/attest/prove-external-token.ts"
import { isSole, makeProveJwtSvid } from "../../src/app/attest/prove-jwt-svid.ts"
import { makeProveDpop } from "../../src/app/exchange/prove-dpop.ts"
import { toIdentityError } from "../../src/core/errors.ts"
import { parseClaimTemplate } from "../../src/core/oauth/claim-template.ts"
import { Secret } from "../../src/core/secret.ts"
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { ClusterKeys } from "../../src/ports/kube.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { joseAttacks } from "../support/jose-attacks.ts"
import { makeJwtKey } from "../support/jwt-key.ts"

/** The list of attacks on tokens, against every way in which a token comes into the token endpoint. Clusters' are in chapter 40. */
const NOW = 1_800_000_000
const ISSUER = "https://assay.example"
const WEB = "spiffe://prod.example/ns/demo/sa/web"
const CLIENT = "https://client.example/billing"
const CI = "https://ci.example"
const NEVER = new AbortController().signal
const trustDomain = parseTrustDomain("prod.example")
const key = makeJwtKey()
const clock = new FakeClock(NOW)
const verifier = rememberVerified(makeJwsVerifier(), 1000)
const keys: ClusterKeys = { verify: (jws) => verifier.verify(jws, [key.authority]) }
const bundle = {
  trustDomain,
  x509Authorities: [],
  jwtAuthorities: [key.authority],
  sequence: 1,
  refreshHint: undefined,
}
const revocations = { isRevoked: () => false }
const dates = { iat: NOW - 10, exp: NOW + 200 }
const common = { verifier, revocations, clock, issuer: ISSUER }

interface Door {
  readonly claims: Readonly<Record<string, unknown>> & { readonly aud: string; readonly exp: number }
  readonly header: Readonly<Record<string, unknown>>
  /** `typ` of tokens that are none for this door. */
  readonly otherTypes: readonly string[]
  readonly enter: (token: string) => Promise<unknown>
  /** Attacks that mean nothing here, and why. */
  readonly without?: Readonly<Record<string, string>>
}

const proveJwtSvid = makeProveJwtSvid({ ...common, bundles: () => [bundle] })
const OTHERS = ["dpop+jwt", "wit+jwt", "logout+jwt", "id_token+jwt", "token-introspection+jwt", "secevent+jwt"]

const DOORS: Readonly<Record<string, Door>> = {
  "a JWT-SVID as credential": {
    claims: { sub: WEB, aud: ISSUER, ...dates },
    header: { typ: "JWT" },
    otherTypes: [...OTHERS, "at+jwt", "client-authentication+jwt"],
    enter: (token) => proveJwtSvid(token, (audience) => isSole(audience, ISSUER)),
  },
  "a JWT-SVID as subject token": {
    claims: { sub: WEB, aud: ISSUER, ...dates },
    header: {},
    otherTypes: [...OTHERS, "at+jwt", "client-authentication+jwt"],
    enter: (token) => proveJwtSvid(token, (audience) => audience.includes(ISSUER)),
  },
  "an access token": {
    claims: { iss: ISSUER, sub: WEB, client_id: WEB, aud: ISSUER, jti: "1", ...dates },
    header: { typ: "at+jwt" },
    otherTypes: [...OTHERS, "JWT", "JOSE", "client-authentication+jwt"],
    enter: makeEnterAccessToken(),
  },
  "an assertion of a registered client": {
    claims: { iss: CLIENT, sub: CLIENT, aud: ISSUER, jti: "1", ...dates },
    header: { typ: "client-authentication+jwt" },
    otherTypes: [...OTHERS, "at+jwt"],
    enter: (token) => {
      const prove = makeProveClientAssertion({ replayLog: openMemoryStore().replayLog, clock })
      const client = { clientId: CLIENT, spiffeId: parseSpiffeId(WEB), keys }
      return prove(token, client, ISSUER, NEVER)
    },
  },
  "a token of an outside issuer": {
    claims: { iss: CI, sub: WEB, repository: "acme/site", aud: ISSUER, jti: "1", ...dates },
    header: { typ: "JWT" },
    otherTypes: [...OTHERS, "at+jwt", "client-authentication+jwt"],
    enter: (token) => {
      const spiffeId = parseClaimTemplate("/ci/{{repository...}}")
      const issuer = { name: "ci", issuer: CI, audiences: [ISSUER], keys, requiredClaims: new Map(), spiffeId }
      return makeProveExternalToken({ trustDomain, clock })(token, issuer, NEVER)
    },
    without: { "JOS-11": "its sub is any text; EXT-01 and EXT-02 hold issuer and identity" },
  },
  "a DPoP proof": {
    claims: { sub: WEB, htm: "POST", htu: `${ISSUER}/token`, jti: "1", aud: ISSUER, ...dates },
    header: { typ: "dpop+jwt", jwk: key.authority.jwk },
    otherTypes: [...OTHERS.slice(1), "JWT", "at+jwt"],
    enter: async (token) => {
      const deps = {
        replayLog: openMemoryStore().replayLog,
        nonceKey: new Secret(Buffer.alloc(32)),
        nonce: () => "off" as const,
      }
      const proven = await makeProveDpop({ ...deps, verifier: makeJwsVerifier(), clock })(
        [token],
        "POST",
        `${ISSUER}/token`,
        undefined,
      )
      assert.ok(proven !== undefined)
    },
    without: {
      "JOS-04": "it brings its key; DP-05 holds what that may be",
      "JOS-05": "kid chooses nothing",
      "JOS-09": "exp is optional; DP-01 holds iat",
      "JOS-10": "it has no audience but htu; DP-06",
      "JOS-11": "it has no subject",
    },
  },
}

for (const [door, { claims, header, otherTypes, enter, without = {} }] of Object.entries(DOORS)) {
  describe(door, () => {
    test("[AT-05] is accepted when it is good", async () => {
      await enter(key.token(claims, header))
    })

    for (const { id, name, token } of joseAttacks({ key, header, claims, otherTypes, now: NOW })) {
      if (without[id] !== undefined) continue
      test(`[${id}] ${door} is refused with ${name}`, async () => {
        await assert.rejects(enter(token), (thrown) => {
          const { code, reason } = toIdentityError(thrown)
          assert.ok(["unauthenticated", "malformed"].includes(code), `${code} ${reason}`)
          assert.ok(reason !== undefined)
          return true
        })
      })
    }
  })
}

for (const iss of [
  `${ISSUER}/`,
  ISSUER.toUpperCase(),
  "https://assay.exampl\u0435",
  "https://evil.example",
  undefined,
  [ISSUER],
]) {
  test(`[JOS-11] an access token with iss ${JSON.stringify(iss)} is refused`, async () => {
    const { claims, header, enter } = DOORS["an access token"] ?? assert.fail()
    await assert.rejects(enter(key.token({ ...claims, iss }, header)))
  })
}

test("[JOS-13] a JWT-SVID that a key of another trust domain signed is refused", async () => {
  const other = makeJwtKey()
  const foreign = { ...bundle, trustDomain: parseTrustDomain("other.example"), jwtAuthorities: [other.authority] }
  const prove = makeProveJwtSvid({ ...common, bundles: () => [bundle, foreign] })
  await assert.rejects(prove(other.token({ sub: WEB, aud: ISSUER, ...dates }, {}), () => true))
  await prove(other.token({ sub: "spiffe://other.example/x", aud: ISSUER, ...dates }, {}), () => true)
})

function makeEnterAccessToken() {
  const prove = makeProveAccessToken({ ...common, authorities: () => [key.authority] })
  return (token: string) => prove(token, ({ aud }) => aud.includes(ISSUER))
}
