import assert from "node:assert/strict"
import { test } from "node:test"
import { GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import type { JwtKeyRecord } from "../../src/ports/authority-journal.ts"
import { API, headerOf, ISSUER, openTokenServer, type TokenServer } from "../support/token-server.ts"
import { until } from "../support/until.ts"

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

for (const phase of ["published", "draining"]) {
  test(`[ROT-63][ROT-66] in ${phase} of a rotation tokens of either key are refused and inactive at once, forged ones too`, async () => {
    await using server = await openTokenServer({
      config: { jwt: { publish_ahead: "1s" }, rotation: { skew: "1s" } },
      oauth: { resources: [{ audience: API, holders: [BACKEND] }] },
    })
    const honest = await accessToken(server)
    await rotateTo(server, phase)
    const keys = server.pipeline.trust.record().jwtKeys
    assert.equal(keys.length, 4, "two algorithms, old and new")
    const forged = await Promise.all(keys.map((key) => forge(server, honest, key)))
    const subject = await server.jwtSvid()
    for (const token of [honest, ...forged]) assert.equal(await isActive(server, token), true)
    await server.rotations.jwt.operate.emergency(
      { by: "alice", reason: "key folder copied", consumers: "all" },
      { actor: "alice", requestId: "q1" },
    )
    for (const token of [honest, ...forged]) assert.equal(await isActive(server, token), false)
    const exchanged = await server.ask(exchange(subject))
    assert.deepEqual([exchanged.status, exchanged.body["error"]], [400, "invalid_request"])
    const kids = await publishedKids(server)
    assert.deepEqual([kids.length, keys.filter(({ kid }) => kids.includes(kid))], [2, []])
    const fresh = await accessToken(server)
    assert.ok(kids.includes(String(headerOf(fresh)["kid"])))
    assert.equal(await isActive(server, fresh), true)
  })
}

async function rotateTo({ rotations: { jwt } }: TokenServer, phase: string): Promise<void> {
  const stop = new AbortController()
  const running = jwt.run(stop.signal)
  const asking = { actor: "alice", requestId: "q0" }
  const reached = (wanted: string) =>
    until(wanted, async () => (await jwt.describe.status()).state.phase === wanted, 30_000)
  await jwt.operate.start({ auto: false, canary: { namespaces: [], prefixes: [] } }, asking)
  await reached("keyed")
  await jwt.operate.advance(asking)
  await reached("published")
  if (phase === "draining") {
    await jwt.operate.advance(asking)
    await reached("draining")
  }
  stop.abort()
  await running
}

/** The claims of `token`, signed by somebody who has the key, whether it signs or was only prepared. */
async function forge({ state }: TokenServer, token: string, { keyId, kid, algorithm: alg }: JwtKeyRecord) {
  const header = Buffer.from(JSON.stringify({ ...headerOf(token), alg, kid })).toString("base64url")
  const signed = `${header}.${token.split(".")[1]}`
  const signer = await state.keys.open(keyId)
  const signature = await signer.sign(Buffer.from(signed), alg === "ES256" ? "p1363" : "der")
  return `${signed}.${Buffer.from(signature).toString("base64url")}`
}

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
