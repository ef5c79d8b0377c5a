import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { encodeAccessTokenInput } from "../../src/core/jose/access-token.ts"
import { sealJwtSvid } from "../../src/core/jose/jwt-svid.ts"
import { TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { dpopProof } from "../support/dpop-proof.ts"
import { type GuardedService, ORDERS, openGuardedService } from "../support/envoy-jwt.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { claimsOf, headerOf, ISSUER } from "../support/token-server.ts"
import { until } from "../support/until.ts"

const WEB = "spiffe://prod.example/ns/shop/sa/web"

describe("Envoy's jwt_authn by deploy/envoy/jwt-authn.yaml", { skip: await skipWithout("envoy") }, () => {
  test("[ENV-01] lets an exchanged token in, and tells the service who called whatever the caller says", async () => {
    await using guarded = await openGuardedService()
    const token = await guarded.exchange()
    assert.equal(await guarded.call(token), `200 ${WEB}`)
    assert.equal(await guarded.call(token, { "x-assay-subject": "spiffe://prod.example/admin" }), `200 ${WEB}`)
  })

  test("[ENV-01] refuses what is for others, expired, of another scope or kind, bound, or not there", async () => {
    await using guarded = await openGuardedService()
    const refusal = async (token: string | undefined) => {
      const answer = await guarded.call(token)
      const good = await guarded.call(await guarded.exchange())
      assert.equal(good, `200 ${WEB}`)
      return answer
    }
    assert.equal(await refusal(undefined), "401 Jwt is missing")
    const elsewhere = await guarded.exchange({ audience: "https://ledger.prod.example" })
    assert.equal(await refusal(elsewhere), "403 Audiences in Jwt are not allowed")
    assert.equal(await refusal(await signed(guarded, -3600)), "401 Jwt is expired")
    assert.equal(await guarded.call(await signed(guarded, 0)), `200 ${WEB}`)
    assert.equal(await refusal(await guarded.exchange({ scope: "write" })), "403 RBAC: access denied")
    const svid = await guarded.exchange({ requested_token_type: TOKEN_TYPES.jwt, scope: "" })
    assert.deepEqual([claimsOf(svid)["iss"], claimsOf(svid)["aud"]], [ISSUER, [ORDERS]])
    assert.equal(await refusal(svid), "403 RBAC: access denied")
    const now = Math.floor(Date.now() / 1000)
    const dpop = dpopProof(makeJwtKey(), { method: "POST", url: `${ISSUER}/token`, now })
    const bound = await guarded.exchange({}, { dpop })
    assert.equal(await refusal(bound), "403 RBAC: access denied")
  })

  test("[ENV-02] asks for no keys because of one that it does not know", async () => {
    await using guarded = await openGuardedService()
    const before = await guarded.fetches()
    assert.ok(before >= 1)
    const key = makeJwtKey()
    const forged = key.token(claimsOf(await guarded.exchange()), { typ: "at+jwt" })
    assert.equal(await guarded.call(forged), "401 Jwks doesn't have key to match kid or alg from Jwt")
    assert.equal(await guarded.fetches(), before)
  })

  test("[ENV-01] refuses tokens of a key that was taken out, in an emergency, within cache_duration", async () => {
    await using guarded = await openGuardedService({ cacheDuration: 1 })
    const token = await guarded.exchange()
    assert.equal(await guarded.call(token), `200 ${WEB}`)
    const waiver = { by: "alice", reason: "found out", consumers: "all" } as const
    await guarded.server.rotations.jwt.operate.emergency(waiver, { actor: "alice", requestId: "q1" })
    await until("the refusal", async () => (await guarded.call(token)).startsWith("401 "), 20_000)
    assert.equal(await guarded.call(token), "401 Jwks doesn't have key to match kid or alg from Jwt")
  })

  test("[ENV-03] goes on with the last keys while nobody answers for the issuer", async () => {
    await using guarded = await openGuardedService({ cacheDuration: 1 })
    const token = await guarded.exchange()
    assert.equal(await guarded.call(token), `200 ${WEB}`)
    await guarded.server[Symbol.asyncDispose]()
    await guarded.envoy.untilStat("http.api.jwt_authn.jwks_fetch_failed", (count) => count >= 3)
    assert.equal(await guarded.call(token), `200 ${WEB}`)
  })

  test("[ENV-02] refuses no good token, new or old, while keys rotate twice on evidence", async () => {
    await using guarded = await openGuardedService({
      cacheDuration: 1,
      config: { jwt: { ttl: "10s" } },
      tune: (config) => ({
        ...config,
        rotation: { ...config.rotation, skew: 1 },
        jwt: { ...config.jwt, keyTtl: 4, publishAhead: 3 },
      }),
    })
    const stop = new AbortController()
    const { jwt } = guarded.server.rotations
    const rotating = jwt.run(stop.signal)
    const seen = new Map<string, number>()
    const failures: string[] = []
    const held: { readonly token: string; readonly again: number; readonly end: number }[] = []
    const use = async (token: string) => {
      const kid = String(headerOf(token)["kid"])
      const answer = await guarded.call(token)
      if (answer !== `200 ${WEB}`) throw new Error(`${kid} ${answer}`)
      return kid
    }
    let old = 0
    const once = async () => {
      const token = await guarded.exchange()
      const kid = await use(token)
      seen.set(kid, (seen.get(kid) ?? 0) + 1)
      held.push({ token, again: Date.now() + 7000, end: Date.now() + 9000 })
      while (Date.now() >= (held[0]?.again ?? Number.POSITIVE_INFINITY)) {
        const due = held.shift()
        // A machine that stood still comes too late to some.
        if (due === undefined || Date.now() > due.end) continue
        await use(due.token)
        old++
      }
    }
    const lane = async () => {
      while (!stop.signal.aborted && failures.length < 10) {
        await once().catch((failure: unknown) => failures.push(String(failure)))
      }
    }
    const lanes = Promise.all([lane(), lane()])
    const enough = () => [...seen.values()].filter((count) => count >= 10).length >= 3
    try {
      await until("tokens of a third key", () => enough() || failures.length > 0, 60_000)
    } finally {
      stop.abort()
      await Promise.all([lanes, rotating])
    }
    assert.deepEqual(failures, [])
    assert.ok(old > 10)
    const kids = guarded.server.pipeline.trust.record().jwtKeys.map(({ kid }) => kid)
    const [first] = seen.keys()
    assert.ok(first !== undefined && !kids.includes(first), "the first key is gone")
  })
})

/** An access token that the server's own key signed `age` seconds from now, for five minutes. */
async function signed({ server }: GuardedService, age: number): Promise<string> {
  const iat = Math.floor(Date.now() / 1000) + age
  const key = server.pipeline.jwtKeys.active("ES256")
  const sub = parseSpiffeId(WEB)
  const common = { iss: ISSUER, sub, clientId: WEB, aud: [ORDERS], jti: "1", scopes: ["read"], actors: [] }
  const input = encodeAccessTokenInput(key.accessTokenHeader, {
    ...common,
    iat,
    exp: iat + 300,
    confirmation: undefined,
  })
  return sealJwtSvid(input, await key.signer.sign(Buffer.from(input), "p1363"))
}
