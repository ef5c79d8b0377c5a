import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import type { BanKind } from "../../src/core/ban/ban.ts"
import { GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { banishing } from "../support/ban-order.ts"
import {
  type Answer,
  API,
  answerOf,
  type FormFields,
  ISSUER,
  openTokenServer,
  spiffeJwt,
  type TokenServer,
} from "../support/token-server.ts"
import type { X509Client } from "../support/x509-client.ts"

const ID = (name: string) => `spiffe://prod.example/ns/shop/sa/${name}`

let server: TokenServer
before(async () => {
  server = await openTokenServer({ oauth: { resources: [{ audience: API, holders: [ID("backend")] }] } })
})
after(() => server[Symbol.asyncDispose]())

test("[BAN-12] no token for a banned client, subject or actor; the refusal is recorded", async () => {
  const frontAssertion = await server.jwtSvid({ serviceAccount: "front" })
  const subject = await server.jwtSvid({ serviceAccount: "alice" })
  const actor = await server.jwtSvid({ serviceAccount: "robot" })
  const exchange = {
    grant_type: GRANT_TYPES["token-exchange"],
    audience: API,
    ...jwt("subject", subject),
    ...jwt("actor", actor),
  }
  const ask = () => server.post("/token", { ...spiffeJwt(frontAssertion), ...exchange })
  assert.equal((await ask()).status, 200)
  for (const name of ["front", "alice", "robot"]) {
    await whileBanned("identity", ID(name), async () => {
      assert.notEqual((await ask()).status, 200, name)
    })
  }
})

test("[BAN-12] a client that proves itself with its platform token is refused by its pod's ban, and recorded", async () => {
  const token = server.setup.token({ serviceAccount: "kube" })
  const form = { grant_type: GRANT_TYPES.client_credentials, audience: API, ...assertion(token) }
  assert.equal((await server.post("/token", form)).status, 200)
  await whileBanned("namespace", "main/shop", async () => {
    const { body } = await server.post("/token", form)
    assert.deepEqual([body["error"], body["reason"]], ["access_denied", "banned"])
    const record = await server.auditRecord("token.refused", ({ reason }) => reason === "banned")
    assert.equal(record?.["clientId"], ID("kube"))
  })
})

test("[BAN-12] a banned caller is told nothing at /introspect and revokes nothing at /revoke", async () => {
  const token = await tokenOf("shopper")
  const credential = assertion(server.setup.token({ serviceAccount: "backend" }))
  await whileBanned("identity", ID("backend"), async () => {
    for (const path of ["/introspect", "/revoke"]) {
      const { status, body } = await server.post(path, { ...credential, token })
      assert.deepEqual([status >= 400, body["reason"]], [true, "banned"], path)
    }
  })
  assert.equal(await isActive(token), true)
})

const BANS: readonly (readonly [BanKind, (name: string) => string])[] = [
  ["identity", ID],
  ["prefix", () => "spiffe://prod.example/ns/shop/sa/victim"],
  ["cluster", () => "main"],
  ["namespace", () => "main/shop"],
]

for (const [kind, nameOf] of BANS) {
  test(`[REVO-05][BAN-08] an access token is not active while its subject is banned by ${kind}, nor after the lift`, async () => {
    const token = await tokenOf("victim")
    const caller = await server.jwtSvid({ serviceAccount: "backend", audience: [ISSUER] })
    assert.equal(await isActive(token), true)
    const { ban, lift } = banishing(server.pipeline.bans, server.clock)
    await ban(kind, nameOf("victim"))
    if (kind === "identity" || kind === "prefix") assert.equal(await isActive(token, caller), false)
    await lift(kind, nameOf("victim"))
    // By a certificate, since tokens from before the lift are dead for the caller, too.
    assert.equal(await isActiveFor(token), false)
    await untilNextSecond()
    assert.equal(await isActiveFor(await tokenOf("victim")), true)
  })
}

for (const kind of ["pod", "node", "key"] as const) {
  const dies = kind !== "key"
  test(`[REVO-05][BAN-08] an access token ${dies ? "dies with" : "lives on under"} a ban by ${kind}`, async () => {
    const pod = server.setup.cluster.createPod("elsewhere", "robot", `robot-${kind}`)
    const credential = assertion(server.setup.token({ pod }))
    const form = { grant_type: GRANT_TYPES.client_credentials, audience: API, ...credential }
    const token = String((await server.post("/token", form)).body["access_token"])
    const caller = await server.x509Client("backend")
    const name = { pod: pod.uid, node: `main/${pod.node.name}`, key: "ab".repeat(32) }[kind]
    await whileBanned(kind, name, async () => {
      // All pods of the stand-in cluster are on one node, the caller's as well.
      if (kind === "node") await assert.rejects(server.jwtSvid({ serviceAccount: "robot" }), { reason: "banned" })
      else assert.equal(await isActiveBy(caller, token), !dies)
    })
    assert.equal(await isActiveBy(caller, token), !dies)
  })
}

test("[REVO-05][BAN-08] a JWT-SVID proves nobody while its subject is banned, nor after the lift; a new one does", async () => {
  const api = { grant_type: GRANT_TYPES.client_credentials, audience: API }
  const svid = await server.jwtSvid({ serviceAccount: "prover" })
  assert.equal((await server.post("/token", { ...spiffeJwt(svid), ...api })).status, 200)
  await whileBanned("identity", ID("prover"), async () => {
    const { body } = await server.post("/token", { ...spiffeJwt(svid), ...api })
    assert.deepEqual([body["error"], body["reason"]], ["invalid_client", "token-revoked"])
  })
  assert.equal((await server.post("/token", { ...spiffeJwt(svid), ...api })).body["reason"], "token-revoked")
  const renewed = await server.jwtSvid({ serviceAccount: "prover" })
  assert.equal((await server.post("/token", { ...spiffeJwt(renewed), ...api })).status, 200)
})

test("[BAN-08] a client certificate is refused while its holder, its pod or its key is banned, and good again after", async () => {
  const { client } = await server.x509Client("certified")
  const fetchAs = server.fetchAs(client)
  const ask = async () => {
    const form = { grant_type: GRANT_TYPES.client_credentials, audience: API, client_id: ID("certified") }
    return answerOf(await fetchAs(`${ISSUER}/token`, { method: "POST", body: new URLSearchParams(form) }))
  }
  assert.equal((await ask()).status, 200)
  for (const [kind, name] of [
    ["identity", ID("certified")],
    ["cluster", "main"],
  ] as const) {
    await whileBanned(kind, name, async () => {
      const { body } = await ask()
      assert.equal(body["reason"], "banned", kind)
    })
  }
  assert.equal((await ask()).status, 200)
})

async function whileBanned(kind: BanKind, name: string, act: () => Promise<void>): Promise<void> {
  const { ban, lift } = banishing(server.pipeline.bans, server.clock)
  await ban(kind, name)
  try {
    await act()
  } finally {
    await lift(kind, name)
    await untilNextSecond()
  }
}

/** Tokens that are made in the second of a lift count as older than it. */
async function untilNextSecond(): Promise<void> {
  const now = server.clock.now()
  while (server.clock.now() === now) await server.clock.sleep(20, new AbortController().signal)
}

async function tokenOf(serviceAccount: string): Promise<string> {
  const credential = assertion(server.setup.token({ serviceAccount }))
  const form = { grant_type: GRANT_TYPES.client_credentials, audience: API, ...credential }
  const { body, status } = await server.post("/token", form)
  assert.equal(status, 200, JSON.stringify(body))
  return String(body["access_token"])
}

async function isActive(token: string, caller?: string): Promise<boolean> {
  const svid = caller ?? (await server.jwtSvid({ serviceAccount: "backend" }))
  return activeIn(await server.post("/introspect", { ...spiffeJwt(svid), token }))
}

async function isActiveFor(token: string): Promise<boolean> {
  return isActiveBy(await server.x509Client("backend"), token)
}

async function isActiveBy({ client }: X509Client, token: string): Promise<boolean> {
  const form = { client_id: ID("backend"), token }
  const post = { method: "POST", body: new URLSearchParams(form) }
  return activeIn(await answerOf(await server.fetchAs(client)(`${ISSUER}/introspect`, post)))
}

function activeIn({ status, body }: Answer): boolean {
  assert.equal(status, 200, JSON.stringify(body))
  return body["active"] === true
}

function assertion(token: string): FormFields {
  return { client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", client_assertion: token }
}

function jwt(role: "subject" | "actor", token: string): FormFields {
  return { [`${role}_token`]: token, [`${role}_token_type`]: TOKEN_TYPES.jwt }
}
