import assert from "node:assert/strict"
import { sign } from "node:crypto"
import { test } from "node:test"
import { encodeJwtSvidKeys } from "../../src/core/jose/jwk-set.ts"
import { encodeJwtSvidHeader, encodeJwtSvidInput, parseJwtSvid, sealJwtSvid } from "../../src/core/jose/jwt-svid.ts"
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { JWTBundlesResponse, ValidateJWTSVIDResponse } from "../../src/gen/spiffe/workload.ts"
import { FakeSource } from "../support/fake-source.ts"
import { fakeBundle, fakeSvid, fakeView } from "../support/fake-view.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { openWorkloadPeer, PEER_NOW, StreamReader, secured, unary } from "../support/workload-peer.ts"

const CART = "spiffe://prod.example/ns/shop/sa/cart"
const OWN = makeJwtKey()
const RSA = makeJwtKey("RS256")
const PARTNER = makeJwtKey()
const STRANGER = makeJwtKey()
const GOOD = { sub: CART, aud: ["db"], exp: PEER_NOW + 60, iat: PEER_NOW }

function sourceWithKeys(): FakeSource {
  const source = new FakeSource()
  const svid = fakeSvid(CART, { federatesWith: [parseTrustDomain("partner.example")] })
  source.ready(
    fakeView({
      svids: [svid],
      own: fakeBundle("prod.example", { jwtAuthorities: [OWN.authority, RSA.authority] }),
      federated: [
        fakeBundle("partner.example", { jwtAuthorities: [PARTNER.authority] }),
        fakeBundle("stranger.example", { jwtAuthorities: [STRANGER.authority] }),
      ],
    }),
  )
  return source
}

async function validate(token: string, audience = "db"): Promise<ValidateJWTSVIDResponse> {
  await using peer = await openWorkloadPeer(sourceWithKeys())
  return await unary((done) => peer.client.validateJwtsvid({ audience, svid: token }, secured(), done))
}

const VALID: readonly (readonly [title: string, token: string])[] = [
  ["[WA-14] accepts an ES256 token", OWN.token(GOOD)],
  ["[WA-14][JW-02] accepts an RS256 token", RSA.token(GOOD)],
  ["[JW-03] accepts a token without kid", OWN.token(GOOD, { kid: undefined })],
  ["[JW-04] accepts typ JWT", OWN.token(GOOD, { typ: "JWT" })],
  ["[JW-04] accepts typ JOSE", OWN.token(GOOD, { typ: "JOSE" })],
  ["[JW-10] accepts extra claims", OWN.token({ ...GOOD, jti: "1", act: { sub: "x" } })],
  ["[JW-14] accepts a federated trust domain's token", PARTNER.token({ ...GOOD, sub: "spiffe://partner.example/a" })],
]

for (const [title, token] of VALID) {
  test(title, async () => assert.match((await validate(token)).spiffeId, /^spiffe:\/\//))
}

const foreignSignature = OWN.token({ ...GOOD, jti: "other" }).replace(/^.*\./, OWN.token(GOOD).replace(/[^.]*$/, ""))
const INVALID: readonly (readonly [title: string, token: string])[] = [
  ["[JW-01][JOS-08] two parts", "a.b"],
  ["[JW-01][JOS-08] five parts", `${OWN.token(GOOD)}.x.y`],
  ["[JW-01] a JSON serialization", JSON.stringify({ payload: "", signatures: [] })],
  ["[JW-02][JOS-01] alg none", OWN.token(GOOD, { alg: "none" })],
  ["[JW-02][JOS-01] no alg", OWN.token(GOOD, { alg: undefined })],
  ["[JW-02][JOS-02] alg HS256", OWN.token(GOOD, { alg: "HS256" })],
  ["[JW-02] alg EdDSA", OWN.token(GOOD, { alg: "EdDSA" })],
  ["[JW-02][JOS-01] an alg that is not its key's", OWN.token(GOOD, { alg: "RS256" })],
  ["[JW-04][JW-15][JOS-12] an access token", OWN.token(GOOD, { typ: "at+jwt" })],
  ["[JW-04][JOS-12] a WIT-SVID", OWN.token(GOOD, { typ: "wit+jwt" })],
  ["[JW-05][JOS-04] a header jwk", OWN.token(GOOD, { jwk: STRANGER.authority.jwk })],
  ["[JW-05][JOS-04] a header jku", OWN.token(GOOD, { jku: "https://stranger.example" })],
  ["[JW-05][JOS-06] a header crit", OWN.token(GOOD, { crit: ["exp"] })],
  ["[JW-05] a header cty", OWN.token(GOOD, { cty: "JWT" })],
  ["[JOS-05] a kid that nobody has", OWN.token(GOOD, { kid: "__proto__" })],
  ["[JOS-05] a kid that is a number", OWN.token(GOOD, { kid: 7 })],
  ["[JOS-03] a signature that does not fit", foreignSignature],
  ["[JOS-07] a claim twice", OWN.token(`{"sub":"${CART}","sub":"${CART}","aud":["db"],"exp":${GOOD.exp}}`)],
  ["[JOS-07] padding", `${OWN.token(GOOD)}=`],
  ["[JW-06] no sub", OWN.token({ ...GOOD, sub: undefined })],
  ["[JW-06][JOS-11] a sub that is no SPIFFE ID", OWN.token({ ...GOOD, sub: "cart" })],
  ["[JW-06][JOS-11] a sub without path", OWN.token({ ...GOOD, sub: "spiffe://prod.example" })],
  ["[JW-06][JOS-11] a sub in upper case", OWN.token({ ...GOOD, sub: CART.replace("prod", "PROD") })],
  ["[JW-07][JW-09] no aud", OWN.token({ ...GOOD, aud: undefined })],
  ["[JW-07][JOS-10] an empty aud", OWN.token({ ...GOOD, aud: [] })],
  ["[JOS-10] a nested aud", OWN.token({ ...GOOD, aud: [["db"]] })],
  ["[JW-09][JOS-10] another aud", OWN.token({ ...GOOD, aud: ["web"] })],
  ["[JW-09][JOS-10] an aud that the own one is a prefix of", OWN.token({ ...GOOD, aud: "db2" })],
  ["[JW-09][JOS-10] an aud that is a prefix of the own one", OWN.token({ ...GOOD, aud: "d" })],
  ["[JW-08][JW-09][JOS-09] no exp", OWN.token({ ...GOOD, exp: undefined })],
  ["[JW-08][JOS-09] exp as a text", OWN.token({ ...GOOD, exp: `${GOOD.exp}` })],
  ["[JOS-09] exp below zero", OWN.token({ ...GOOD, exp: -1 })],
  ["[JOS-09] exp beyond all numbers", OWN.token(`{"sub":"${CART}","aud":["db"],"exp":1e400}`)],
  ["[JW-09] exp now", OWN.token({ ...GOOD, exp: PEER_NOW })],
  ["[JOS-09] nbf in the future", OWN.token({ ...GOOD, nbf: PEER_NOW + 1 })],
  ["[JOS-09] iat in the future", OWN.token({ ...GOOD, iat: PEER_NOW + 1 })],
  ["[JW-14][JOS-13] a partner's key for our trust domain", PARTNER.token(GOOD)],
  ["[JW-14][JOS-13] our key for a partner's", OWN.token({ ...GOOD, sub: "spiffe://partner.example/a" })],
  ["[WA-14] a trust domain we do not federate with", STRANGER.token({ ...GOOD, sub: "spiffe://stranger.example/a" })],
]

for (const [title, token] of INVALID) {
  const [, rules, what] = /^((?:\[.*?\])+) (.*)$/.exec(title) ?? []
  test(`${rules} refuses a token with ${what}`, async () => {
    await assert.rejects(validate(token), { code: 3 })
  })
}

test("[WA-15] ValidateJWTSVID returns the claims, aud as a list", async () => {
  const reply = await validate(OWN.token({ ...GOOD, aud: "db", team: { name: "shop", size: 3 } }))
  assert.equal(reply.spiffeId, CART)
  assert.deepEqual(reply.claims, { ...GOOD, aud: ["db"], team: { name: "shop", size: 3 } })
})

test("[JW-11][WA-13] JWT bundles hold kid, use jwt-svid and the public members of each key, and no more", async () => {
  await using peer = await openWorkloadPeer(sourceWithKeys())
  using reader = new StreamReader<JWTBundlesResponse>(peer.client.fetchJwtBundles({}, secured()))
  const { bundles } = await reader.next()
  const { kid, jwk } = PARTNER.authority
  const set: unknown = JSON.parse(bundles["spiffe://partner.example"]?.toString() ?? "")
  assert.deepEqual(set, { keys: [{ ...jwk, kid, use: "jwt-svid" }] })
  assert.equal(Buffer.from(encodeJwtSvidKeys([])).toString(), '{"keys":[]}')
})

test("[JW-01][JW-03][JW-06][JW-07][JW-08][JW-10] a token that we make passes our validation, and says what it should", async () => {
  const { kid, algorithm } = OWN.authority
  const claims = { sub: parseSpiffeId(CART), aud: ["db"], iat: PEER_NOW, exp: PEER_NOW + 60, jti: "id-1" }
  const input = encodeJwtSvidInput(encodeJwtSvidHeader(kid, algorithm), { ...claims, iss: "https://issuer.example" })
  const signature = sign("sha256", Buffer.from(input), { key: OWN.privateKey, dsaEncoding: "ieee-p1363" })
  const token = sealJwtSvid(input, signature)
  assert.equal((await validate(token)).spiffeId, CART)
  const parsed = parseJwtSvid(token)
  assert.deepEqual(parsed.claims, { ...claims, nbf: PEER_NOW - 10, iss: "https://issuer.example" })
  assert.deepEqual(parsed.jws.header, { alg: "ES256", kid, typ: "JWT", jwk: undefined })
})

test("[JW-17] a token of the greatest length passes our validation, and a longer one is not made", async () => {
  const { kid, algorithm } = OWN.authority
  const header = encodeJwtSvidHeader(kid, algorithm)
  const claims = { sub: parseSpiffeId(CART), iat: PEER_NOW, exp: PEER_NOW + 60, jti: "1", iss: undefined }
  const inputFor = (aud: readonly string[]) => encodeJwtSvidInput(header, { ...claims, aud })
  const audiences = Array.from({ length: 16 }, (_, n) => String(n).padEnd(1024, "x"))
  assert.throws(() => inputFor(audiences), { code: "malformed", message: /too long/ })
  // One character more than the last that is taken.
  const last = (length: number) => [...audiences.slice(0, 11), "y".repeat(length)]
  const fits = (length: number): boolean => {
    try {
      return inputFor(last(length)) !== ""
    } catch {
      return false
    }
  }
  const longest = Array.from({ length: 1024 }, (_, n) => n + 1).findLast(fits) ?? 0
  assert.ok(longest > 0 && longest < 1024)
  const token = sealJwtSvid(inputFor(last(longest)), Buffer.alloc(512, 1))
  assert.ok(token.length <= 16_384 && token.length > 16_380)
  const signature = sign("sha256", Buffer.from(inputFor(last(longest))), {
    key: OWN.privateKey,
    dsaEncoding: "ieee-p1363",
  })
  assert.equal((await validate(sealJwtSvid(inputFor(last(longest)), signature), "y".repeat(longest))).spiffeId, CART)
})

test("[JW-07] making a token without audience, or with a life of nothing, is a bug", () => {
  const header = encodeJwtSvidHeader("k", "ES256")
  const claims = { sub: parseSpiffeId(CART), iat: 10, exp: 20, jti: "1", iss: undefined }
  assert.throws(() => encodeJwtSvidInput(header, { ...claims, aud: [] }), RangeError)
  assert.throws(() => encodeJwtSvidInput(header, { ...claims, aud: ["db"], exp: 10 }), RangeError)
})
