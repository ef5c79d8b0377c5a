import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { JwtSource, TokenSource, TokenSourceOptions, X509Holder } from "../../src/client/client.ts"
import {
  authorizeId,
  makeAccessTokenVerifier,
  makeSvidFetch,
  makeTokenSource,
  TokenEndpointError,
} from "../../src/client/client.ts"
import { Secret } from "../../src/core/secret.ts"
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { parsePem } from "../../src/core/x509/pem.ts"
import { dpopProof } from "../support/dpop-proof.ts"
import { makeFakeHolder } from "../support/fake-holder.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { refusal } from "../support/refusal.ts"
import { makeBundle, makeTestCa } from "../support/test-ca.ts"
import { API, claimsOf, ISSUER, openTokenServer, spiffeJwt, type TokenServer } from "../support/token-server.ts"

const WEB = "spiffe://prod.example/ns/shop/sa/web"

describe("a token source at an endpoint that a test plays", () => {
  test("[CLT-20] asks by client_credentials with a JWT-SVID for the issuer alone", async () => {
    const { source, forms, svidsFor } = play()
    const { token, type, scopes } = await source.token()
    assert.deepEqual([token, type, scopes], ["token-1", "Bearer", undefined])
    assert.deepEqual(forms, [
      {
        grant_type: ["client_credentials"],
        audience: [API],
        client_id: [WEB],
        client_assertion_type: ["urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"],
        client_assertion: [`svid for ${ISSUER}`],
      },
    ])
    assert.deepEqual(svidsFor, [`${ISSUER} as ${undefined}`])
  })

  test("[CLT-20] asks for each audience, resource and scope, as whom it is told to, and for a JWT-SVID", async () => {
    const target = {
      audience: ["a", "b"],
      resource: "https://c.example",
      scope: ["read", "write"],
      product: "jwt-svid" as const,
    }
    const { source, forms, svidsFor } = play({ ...target, clientId: WEB })
    await source.token()
    const { audience, resource, scope, requested_token_type } = forms[0] ?? {}
    assert.deepEqual([audience, resource, scope], [["a", "b"], ["https://c.example"], ["read write"]])
    assert.deepEqual(requested_token_type, ["urn:ietf:params:oauth:token-type:jwt"])
    assert.deepEqual(svidsFor, [`${ISSUER} as ${WEB}`])
  })

  test("[CLT-20] without a source of JWT-SVIDs, leaves it to the connection to say who asks", async () => {
    const { source, forms } = play({ jwtSource: undefined, clientId: WEB })
    await source.token()
    assert.deepEqual(forms, [{ grant_type: ["client_credentials"], audience: [API], client_id: [WEB] }])
  })

  test("[CLT-12] holds a token and asks once for many", async () => {
    const { source, forms } = play()
    const tokens = await Promise.all(Array.from({ length: 20 }, () => source.token()))
    tokens.push(await source.token())
    assert.deepEqual([...new Set(tokens.map(({ token }) => token))], ["token-1"])
    assert.equal(forms.length, 1)
  })

  test("[CLT-23] has another token for another certificate, when tokens are bound to it", async () => {
    const holder = makeFakeHolder(makeTestCa(), "spiffe://example.org/web")
    const { source, forms } = play({ boundTo: holder, jwtSource: undefined })
    const subject = { token: "one", type: "jwt" } as const
    const both = async () => [(await source.token()).token, (await source.exchange(subject)).token]
    const before = await both()
    assert.deepEqual(await both(), before)
    holder.rotate()
    assert.equal(new Set([...before, ...(await both())]).size, 4)
    assert.equal(forms.length, 4)
  })

  test("[CLT-21] exchanges a subject's token, and keeps what it got for that subject and actor alone", async () => {
    const { source, forms } = play()
    const [one, other] = ["one", "other"].map((token) => ({ token, type: "jwt" }) as const)
    assert.ok(one !== undefined && other !== undefined)
    const actor = { token: "mine", type: "access-token" } as const
    const exchange = async (...asked: Parameters<TokenSource["exchange"]>) => (await source.exchange(...asked)).token
    const tokens = [
      await exchange(one),
      await exchange(other),
      await exchange(one, { actor }),
      await exchange({ ...one, type: "id-token" }),
    ]
    assert.equal(new Set([...tokens, (await source.token()).token]).size, 5)
    assert.deepEqual([await exchange(one), await exchange(one, { actor })], [tokens[0], tokens[2]])
    assert.equal(forms.length, 5)
    const urn = "urn:ietf:params:oauth:token-type:"
    const { grant_type, subject_token, subject_token_type, actor_token, actor_token_type } = forms[2] ?? {}
    assert.deepEqual(grant_type, ["urn:ietf:params:oauth:grant-type:token-exchange"])
    assert.deepEqual([subject_token, subject_token_type], [["one"], [`${urn}jwt`]])
    assert.deepEqual([actor_token, actor_token_type], [["mine"], [`${urn}access_token`]])
  })

  test("[CLT-22] gives a refusal with its error, description and reason", async () => {
    const body = { error: "invalid_target", error_description: 'no rule gives "this"\u0007', reason: "no-export" }
    const { source } = play({}, () => Response.json(body, { status: 400 }))
    await assert.rejects(source.token(), (thrown) => {
      assert.ok(thrown instanceof TokenEndpointError)
      const { status, error, description, code, reason, message } = thrown
      assert.deepEqual([status, error, description], [400, "invalid_target", "no rule gives this"])
      assert.deepEqual([code, reason], ["audience-denied", "no-export"])
      assert.match(message, /invalid_target/)
      return true
    })
  })

  for (const [what, answer, code] of [
    ["an error page", () => new Response("<html>", { status: 502 }), "not-ready"],
    ["a refusal that is no JSON", () => new Response("<html>", { status: 400 }), "internal"],
    ["a busy server", () => Response.json({ error: "temporarily_unavailable" }, { status: 503 }), "not-ready"],
    ["no connection", () => Promise.reject(new Error("away")), "not-ready"],
    ["a token without lifetime", () => Response.json({ access_token: "t", token_type: "Bearer" }), "internal"],
    ["a token without type", () => Response.json({ access_token: "t", expires_in: 60 }), "internal"],
    ["an empty token", () => Response.json({ access_token: "", token_type: "Bearer", expires_in: 60 }), "internal"],
    ["a text", () => new Response("token"), "internal"],
    ["too long an answer", () => new Response("x".repeat(513 * 1024)), "not-ready"],
  ] satisfies [string, () => Response | Promise<Response>, string][]) {
    test(`[CLT-22] takes no token from ${what}`, async () => {
      const { source } = play({}, answer)
      await assert.rejects(source.token(), { code })
    })
  }

  test("[CLT-22] finds the endpoint by discovery of this issuer, and of no other", async () => {
    const { source, urls } = play({ tokenEndpoint: undefined })
    await source.token()
    await source.exchange({ token: "one", type: "jwt" })
    assert.deepEqual(urls, [`${ISSUER}/.well-known/openid-configuration`, `${ISSUER}/token`, `${ISSUER}/token`])
    const wrong = play({ tokenEndpoint: undefined, issuer: `${ISSUER}/other` })
    await assert.rejects(wrong.source.token(), refusal("not-ready"))
  })

  test("[CLT-22] refuses options that are none", () => {
    const make = (options: object) => () => makeTokenSource({ issuer: ISSUER, audience: API, ...options })
    make({})()
    for (const options of [{ issuer: "http://assay.example" }, { tokenEndpoint: "/token" }, { audience: undefined }]) {
      assert.throws(make(options), refusal("malformed"))
    }
  })
})

describe("a token source at an Assay server", { timeout: 60_000 }, () => {
  test("[CLT-14] [CLT-20] its tokens are accepted by the verifier of the service they are for", async () => {
    await using server = await openTokenServer()
    using source = sourceAt(server, { scope: ["read"] })
    const { token, type, expiresAt } = await source.token()
    assert.equal(type, "Bearer")
    assert.ok(expiresAt > Date.now() / 1000)
    const { subject, clientId, scopes } = await verifierAt(server)(token)
    assert.deepEqual([subject, clientId, scopes], [WEB, WEB, ["read"]])
  })

  test("[CLT-21] exchanges another workload's token, itself acting for it", async () => {
    await using server = await openTokenServer()
    using source = sourceAt(server, {})
    const subject = { token: await server.jwtSvid({ serviceAccount: "cart" }), type: "jwt" } as const
    const impersonated = await verifierAt(server)((await source.exchange(subject)).token)
    assert.deepEqual([impersonated.subject, impersonated.actors], ["spiffe://prod.example/ns/shop/sa/cart", []])
    const actor = { token: await server.jwtSvid(), type: "jwt" } as const
    const delegated = await verifierAt(server)((await source.exchange(subject, { actor })).token)
    assert.deepEqual([delegated.subject, delegated.actors], ["spiffe://prod.example/ns/shop/sa/cart", [WEB]])
  })

  test("[CLT-22] hears why it is refused", async () => {
    await using server = await openTokenServer()
    using source = sourceAt(server, { audience: "https://nobody.example" })
    await assert.rejects(source.token(), (thrown) => {
      assert.ok(thrown instanceof TokenEndpointError, String(thrown))
      return thrown.code !== "internal" && thrown.error !== "invalid_answer"
    })
  })

  test("[CLT-15] [CLT-20] asks by its certificate, and the token is bound to it", async () => {
    await using server = await openTokenServer()
    const { holder, der } = await x509Holder(server)
    const fetch = makeSvidFetch(holder, authorizeId("spiffe://prod.example/assay/server"))
    const tokenEndpoint = `https://127.0.0.1:${server.port}/token`
    using source = makeTokenSource({ issuer: ISSUER, tokenEndpoint, audience: API, clientId: WEB, fetch })
    const { token } = await source.token()
    assert.equal(claimsOf(token)["sub"], WEB)
    const verify = verifierAt(server)
    assert.equal((await verify(token, { clientCertificate: der })).confirmation?.kind, "mtls")
    await assert.rejects(verify(token), refusal("unauthenticated", "certificate-missing"))
    const wrong = makeSvidFetch(holder, authorizeId(WEB))
    using lost = makeTokenSource({ issuer: ISSUER, tokenEndpoint, audience: API, clientId: WEB, fetch: wrong })
    await assert.rejects(lost.token(), refusal("not-ready"))
  })

  test("[CLT-15] a token that the server binds to a key is good with a proof of that key", async () => {
    await using server = await openTokenServer()
    const key = makeJwtKey()
    const now = () => Math.floor(Date.now() / 1000)
    const form = { grant_type: "client_credentials", audience: API, ...spiffeJwt(await server.jwtSvid()) }
    const headers = { dpop: dpopProof(key, { method: "POST", url: `${ISSUER}/token`, now: now() }) }
    const { body } = await server.post("/token", form, headers)
    const token = String(body["access_token"])
    const request = { method: "GET", url: `${API}/orders` }
    const verify = verifierAt(server)
    const dpop = { ...request, proofs: [dpopProof(key, { ...request, token, now: now() })] }
    assert.equal((await verify(token, { dpop })).confirmation?.kind, "dpop")
    await assert.rejects(verify(token), refusal("unauthenticated", "dpop-proof-missing"))
  })
})

type Played = (form: Readonly<Record<string, readonly string[]>>) => Response | Promise<Response>

/** A token source whose endpoint answers `answer`, default with the next token. */
function play(options: Partial<TokenSourceOptions> = {}, answer?: Played) {
  const forms: Record<string, string[]>[] = []
  const urls: string[] = []
  const svidsFor: string[] = []
  const fetch = async (url: string, init: RequestInit) => {
    urls.push(url)
    if (init.method === "GET") {
      return Response.json({ issuer: ISSUER, jwks_uri: `${ISSUER}/keys`, token_endpoint: `${ISSUER}/token` })
    }
    const form: Record<string, string[]> = {}
    const body = typeof init.body === "string" ? init.body : ""
    for (const [name, value] of new URLSearchParams(body)) form[name] = [...(form[name] ?? []), value]
    forms.push(form)
    return (
      (await answer?.(form)) ??
      Response.json({ access_token: `token-${forms.length}`, token_type: "Bearer", expires_in: 300 })
    )
  }
  const jwtSource: Pick<JwtSource, "fetch"> = {
    fetch: async (audience, { spiffeId } = {}) => {
      svidsFor.push(`${String(audience)} as ${spiffeId}`)
      return jwtSvid(`svid for ${String(audience)}`)
    },
  }
  const target = { audience: API, tokenEndpoint: `${ISSUER}/token`, issuer: ISSUER, jwtSource, fetch }
  const source = makeTokenSource({ ...target, ...options })
  return { source, forms, urls, svidsFor }
}

function jwtSvid(token: string) {
  return { spiffeId: parseSpiffeId(WEB), hint: "", token, audience: [ISSUER], expiresAt: Date.now() / 1000 + 300 }
}

function sourceAt(server: TokenServer, options: Partial<TokenSourceOptions>): TokenSource {
  const jwtSource: Pick<JwtSource, "fetch"> = {
    fetch: async (audience) => jwtSvid(await server.jwtSvid({ audience: [audience].flat() })),
  }
  return makeTokenSource({ issuer: ISSUER, audience: API, jwtSource, fetch: fetchOf(server), ...options })
}

function verifierAt(server: TokenServer) {
  return makeAccessTokenVerifier({ issuer: ISSUER, audience: API, fetch: fetchOf(server) })
}

function fetchOf({ fetch }: TokenServer) {
  return (url: string, init: RequestInit) => fetch(url, init)
}

/** A fresh X.509-SVID of the service account `web`. */
async function x509Holder(server: TokenServer): Promise<{ readonly holder: X509Holder; readonly der: Uint8Array }> {
  const { client, notAfter } = await server.x509Client("web")
  const bounds = { maxLength: 65_536, maxBlocks: 8 }
  const [roots, chain] = [server.roots, client.cert].map((pem) => parsePem(pem, "CERTIFICATE", bounds))
  const [key] = parsePem(client.key, "PRIVATE KEY", bounds)
  const der = chain?.[0]
  assert.ok(roots !== undefined && chain !== undefined && key !== undefined && der !== undefined)
  const trustDomain = parseTrustDomain("prod.example")
  const svid = { spiffeId: parseSpiffeId(WEB), hint: "", chain, key: new Secret(key), bundle: roots }
  const context = { svid, expiresAt: notAfter, bundles: new Map([[trustDomain, makeBundle(trustDomain, roots)]]) }
  const nothing = { [Symbol.dispose]: () => undefined }
  return { holder: { current: () => context, onChange: () => nothing }, der }
}
