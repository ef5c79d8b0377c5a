import assert from "node:assert/strict"
import { test } from "node:test"
import { GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { API, headerOf, ISSUER, openTokenServer, type TokenServer } from "../support/token-server.ts"

const BACKEND = "spiffe://prod.example/ns/shop/sa/backend"

test("[ROT-63] tokens of a stolen key are refused and inactive at once, and no JWKS has it", async () => {
  await using server = await openTokenServer({ oauth: { resources: [{ audience: API, holders: [BACKEND] }] } })
  const stolen = await accessToken(server)
  const subject = await server.jwtSvid()
  assert.equal(await isActive(server, stolen), true)
  const { jwt } = server.rotations
  await jwt.operate.emergency(
    { by: "alice", reason: "key stolen", consumers: "all" },
    { actor: "alice", requestId: "q1" },
  )
  assert.equal(await isActive(server, stolen), false)
  const exchanged = await server.ask(exchange(subject))
  assert.deepEqual([exchanged.status, exchanged.body["error"]], [400, "invalid_request"])
  const kids = await publishedKids(server)
  assert.equal(kids.length, 2, "one for each algorithm")
  assert.ok(!kids.includes(String(headerOf(stolen)["kid"])))
  const fresh = await accessToken(server)
  assert.ok(kids.includes(String(headerOf(fresh)["kid"])))
  assert.equal(await isActive(server, fresh), true)
})

async function accessToken(server: TokenServer): Promise<string> {
  const { body } = await server.ask({ grant_type: GRANT_TYPES.client_credentials, audience: API })
  return String(body["access_token"])
}

function exchange(subject: string) {
  const token = { subject_token: subject, subject_token_type: TOKEN_TYPES.jwt }
  return { grant_type: GRANT_TYPES["token-exchange"], audience: API, ...token }
}

async function isActive(server: TokenServer, token: string): Promise<unknown> {
  const assertion = await server.jwtSvid({ serviceAccount: "backend" })
  const type = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
  const { body } = await server.post("/introspect", { token, client_assertion_type: type, client_assertion: assertion })
  return body["active"]
}

async function publishedKids(server: TokenServer): Promise<readonly string[]> {
  const { keys }: { readonly keys: readonly { readonly kid: string }[] } = JSON.parse(
    await (await server.fetch(`${ISSUER}/keys`)).text(),
  )
  return keys.map(({ kid }) => kid)
}
