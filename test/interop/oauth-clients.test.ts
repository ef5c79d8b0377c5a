import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import {
  API,
  type ClientMethod,
  ISSUER,
  type OAuthClient,
  type OAuthServer,
  REGISTERED,
  startOAuthServer,
  useOauth4webapi,
  useOpenidClient,
  WEB,
} from "../support/oauth-peer.ts"
import { claimsOf } from "../support/token-server.ts"

let server: OAuthServer
before(async () => {
  server = await startOAuthServer()
})
after(() => server[Symbol.asyncDispose]())

const LIBRARIES = { oauth4webapi: useOauth4webapi, "openid-client": useOpenidClient }
const METHODS = ["spiffe_jwt", "spiffe_x509", "private_key_jwt", "kubernetes token"] as const

for (const [library, connect] of Object.entries(LIBRARIES)) {
  for (const name of METHODS) {
    test(`${library} with ${name}: every grant`, async () => {
      const { client, id } = await open(connect, name)
      const own = await client.grant("client_credentials", { audience: API, scope: "read" })
      assert.equal(own.scope, "read")
      assert.equal(own.token_type, "bearer")
      assert.equal(claimsOf(own.access_token)["sub"], id)
      const subject_token = await server.jwtSvid("user")
      const subject = { subject_token, subject_token_type: TOKEN_TYPES.jwt }
      const exchanged = await client.grant(GRANT_TYPES["token-exchange"], { audience: API, ...subject })
      assert.equal(claimsOf(exchanged.access_token)["sub"], "spiffe://prod.example/ns/shop/sa/user")
      assert.equal(exchanged["issued_token_type"], TOKEN_TYPES.accessToken)
      const assertion = server.setup.token({ serviceAccount: "user" })
      const granted = await client.grant(GRANT_TYPES["jwt-bearer"], { resource: API, assertion })
      assert.equal(claimsOf(granted.access_token)["sub"], "spiffe://prod.example/ns/shop/sa/user")
    })

    test(`${library} with ${name}: DPoP, delegation, introspection, revocation`, async () => {
      const { client, id } = await open(connect, name)
      const bound = await client.grant("client_credentials", { audience: ISSUER }, true)
      assert.equal(bound.token_type, "dpop")
      assert.ok(Object(claimsOf(bound.access_token)["cnf"]).jkt)
      const subject = { subject_token: await server.jwtSvid("user"), subject_token_type: TOKEN_TYPES.jwt }
      const actor = { actor_token: await server.jwtSvid("front"), actor_token_type: TOKEN_TYPES.jwt }
      const delegated = await client.grant(GRANT_TYPES["token-exchange"], { audience: API, ...subject, ...actor })
      const said = await client.introspect(delegated.access_token)
      assert.deepEqual([said.active, said["act"]], [true, { sub: "spiffe://prod.example/ns/shop/sa/front" }])
      const own = await client.grant("client_credentials", { audience: API })
      assert.equal((await client.introspect(own.access_token)).sub, id)
      await client.revoke(own.access_token)
      assert.deepEqual(await client.introspect(own.access_token), { active: false })
    })

    test(`${library} with ${name}: refusals come as the errors of the standards`, async () => {
      const { client } = await open(connect, name)
      const refusal = async (type: string, parameters: Readonly<Record<string, string>>) => {
        try {
          await client.grant(type, parameters)
        } catch (thrown) {
          return Object(thrown).error ?? thrown
        }
        return "none"
      }
      assert.equal(await refusal("client_credentials", { audience: "https://nobody.example" }), "invalid_target")
      assert.equal(await refusal("client_credentials", { audience: API, scope: "admin" }), "invalid_scope")
      assert.equal(await refusal("password", { audience: API }), "unsupported_grant_type")
      assert.equal(await refusal(GRANT_TYPES["jwt-bearer"], { audience: API, assertion: "x" }), "invalid_grant")
    })
  }
}

test("a client that demands a nonce gets one, and goes on with it", async () => {
  await using strict = await startOAuthServer({ dpop_nonce: "required" })
  const method = strict.methods.find(({ name }) => name === "spiffe_jwt")
  assert.ok(method !== undefined)
  for (const connect of Object.values(LIBRARIES)) {
    const client: OAuthClient = await connect(method)
    const { token_type } = await client.grant("client_credentials", { audience: API }, true)
    assert.equal(token_type, "dpop")
  }
})

async function open(
  connect: (method: ClientMethod) => Promise<OAuthClient>,
  name: ClientMethod["name"],
): Promise<{ readonly client: OAuthClient; readonly id: string }> {
  const method = server.methods.find((one) => one.name === name)
  assert.ok(method !== undefined)
  return { client: await connect(method), id: method.clientId === REGISTERED.clientId ? REGISTERED.spiffeId : WEB }
}
