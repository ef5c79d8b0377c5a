import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { makeRecordRefusals, REFUSAL_INTERVAL, type Refused } from "../../src/app/audit/record-refusals.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import { type AdminUnderTest, openAdminUnderTest } from "../support/admin-server.ts"
import { ADMIN_HEADERS } from "../support/ask-raw.ts"
import { banishing } from "../support/ban-order.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { type ClientPair, makeHttpsFetch } from "../support/https-fetch.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { makeScratch } from "../support/scratch.ts"
import { makeTestCa } from "../support/test-ca.ts"
import { until } from "../support/until.ts"
import { openX509Client } from "../support/x509-client.ts"

const NOW = 1_800_000_000
const STAFF = "https://login.example"
const AUDIENCE = "https://assay.example/admin"
const WEB = "spiffe://prod.example/ns/shop/sa/web"
const stack = new AsyncDisposableStack()
const staff = makeJwtKey()
let server: AdminUnderTest
before(async () => {
  const scratch = stack.use(await makeScratch())
  const jwks = join(scratch.directory, "staff.jwks")
  const { kid, jwk } = staff.authority
  await writeFile(jwks, JSON.stringify({ keys: [{ ...jwk, kid, use: "sig", alg: "ES256" }] }))
  const issuer = { name: "sre", issuer: STAFF, audiences: [AUDIENCE], keys: { jwks_file: jwks } }
  server = stack.use(
    await openAdminUnderTest({
      config: {
        listen: { grpc: "127.0.0.1:0", health: "127.0.0.1:0", admin: "127.0.0.1:0" },
        admin: {
          issuers: [{ ...issuer, required_claims: { groups: "sre" }, spiffe_id: "/ops/{{sub}}" }],
          roles: [{ name: "web", who: { spiffe_id: WEB }, verbs: ["status"] }],
        },
      },
    }),
  )
})
after(() => stack.disposeAsync())

async function ask(path: string, { client, token }: { client?: ClientPair; token?: string }): Promise<number> {
  const fetch = makeHttpsFetch({ ca: server.roots, port: server.admin.port ?? 0, ...(client && { client }) })
  const headers: Record<string, string> = { ...ADMIN_HEADERS, ...(token && { authorization: `Bearer ${token}` }) }
  return (await fetch(`https://localhost/admin/v1${path}`, { headers })).status
}

function staffToken(claims: object, key = staff): string {
  const now = Math.floor(Date.now() / 1000)
  const base = { iss: STAFF, aud: AUDIENCE, sub: "alice", groups: "sre", iat: now, exp: now + 300 }
  return key.token({ ...base, ...claims }, { typ: "JWT" })
}

async function recorded() {
  const { records } = await server.state.store.auditSearch.search({ type: "login.refused", limit: 100 })
  return records.map(({ record: { actor, data } }) => ({ actor, ...JSON.parse(data) }))
}

test("[ADM-26] who is not let in at the remote door is recorded, with operation, address, reason and what was proven of him", async () => {
  const { client } = await openX509Client(server, "web")
  const forged = makeTestCa({ trustDomain: "prod.example" }).issueLeaf(WEB)
  const chain = forged.chain.map((der) => encodePem("CERTIFICATE", der)).join("")
  const forgedClient = { cert: chain, key: encodePem("PRIVATE KEY", forged.pkcs8) }
  const { ban, lift } = banishing(server.pipeline.bans, server.clock)
  const badly = makeJwtKey()
  const subject = (sub: string) => `external-token:${JSON.stringify([STAFF, sub])}`
  const cases = [
    [{}, "unknown", "credentials-missing", 401],
    [{ client: forgedClient }, "unknown", "client-certificate-invalid", 401],
    [{ token: staffToken({ sub: "eavesdropper" }, badly) }, "unknown", "token-invalid", 401],
    [{ token: staffToken({ sub: "old", exp: 1 }) }, subject("old"), "token-expired", 401],
    [{ token: staffToken({ aud: "x" }) }, subject("alice"), "token-audience-mismatch", 401],
    [{ token: staffToken({ groups: "dev", sub: "bob" }) }, subject("bob"), "token-identity-missing", 401],
    [{ client }, `x509-svid:${WEB}`, "banned", 403],
    [{ token: staffToken({ sub: "mallory" }) }, "external-token:spiffe://prod.example/ops/mallory", "banned", 403],
  ] as const
  const banned = [
    ["identity", WEB],
    ["identity", "spiffe://prod.example/ops/mallory"],
  ] as const
  for (const [kind, name] of banned) await ban(kind, name)
  for (const [shown, , , status] of cases) assert.equal(await ask("/status", shown), status)
  for (const [kind, name] of banned) await lift(kind, name)
  await until("the records", async () => (await recorded()).length >= cases.length)
  const said = (await recorded()).map(({ actor, reason, operation, source, count }) => {
    return [actor, reason, operation, source, count]
  })
  const wanted = cases.map(([, actor, reason]) => [actor, reason, "status.show", "127.0.0.1", 1])
  assert.deepEqual(said.toReversed(), wanted)
  const { records } = await server.state.store.auditSearch.search({ limit: 1000 })
  const all = records.map(({ record }) => JSON.stringify(record)).join("\n")
  for (const secret of [staffToken({ sub: "eavesdropper" }, badly).split(".")[1] ?? "", "eavesdropper"])
    assert.ok(!all.includes(secret))
})

test("[ADM-26] a request that a page or a tricked server may have sent is recorded at the socket, too", async () => {
  const { status } = await server.raw({ path: "/admin/v1/bans", headers: { origin: "https://evil.example" } })
  assert.equal(status, 401)
  await until("the record", async () => (await recorded()).some(({ source }) => source === "socket"))
  const [newest] = await recorded()
  assert.deepEqual([newest?.reason, newest?.operation, newest?.actor], ["admin-header-missing", "bans.list", "unknown"])
})

test("[ADM-27] requests without a role, again and again, are one record", async () => {
  const { client } = await openX509Client(server, "batch")
  for (let n = 0; n < 20; n++) assert.equal(await ask("/status", { client }), 403)
  const { records } = await server.state.store.auditSearch.search({ type: "admin.refused", limit: 100 })
  assert.deepEqual(
    records.map(({ record }) => [record.actor, JSON.parse(record.data).count]),
    [["x509-svid:spiffe://prod.example/ns/shop/sa/batch", 1]],
  )
})

test("[ADM-27] what was counted is recorded when the server stops", async () => {
  await using own = await openAdminUnderTest()
  for (let n = 0; n < 3; n++) await own.raw({ path: "/admin/v1/status", headers: {} })
  await own.refusals[Symbol.asyncDispose]()
  const { records } = await own.state.store.auditSearch.search({ type: "login.refused", limit: 10 })
  assert.deepEqual(
    records.map(({ record }) => JSON.parse(record.data).count),
    [2, 1],
  )
})

function openRecord() {
  const store = openMemoryStore()
  const clock = new FakeClock(NOW)
  const failures: unknown[] = []
  const refusals = makeRecordRefusals({ audit: store.auditLog, clock, failed: (thrown) => failures.push(thrown) })
  const stop = new AbortController()
  const ended = refusals.run(stop.signal)
  const end = async () => {
    stop.abort()
    await ended
  }
  const said = () => store.events.map((event) => ("count" in event ? [event.actor, nameOf(event), event.count] : []))
  return { store, clock, failures, refusals, end, said, pass: () => clock.advance(REFUSAL_INTERVAL / 1000) }
}

function nameOf(refused: Refused): string {
  if (refused.type === "stream.refused") return ""
  return refused.type === "login.refused" ? refused.source : refused.target
}

function login(source: string, reason = "token-invalid"): Refused & { readonly type: "login.refused" } {
  const about = { operation: "status.show", source, code: "unauthenticated", reason }
  return { type: "login.refused", actor: "unknown", requestId: "r", ...about }
}

function denied(actor: string, target = ""): Refused & { readonly type: "admin.refused" } {
  const about = { operation: "bans.add", target, code: "policy-denied", reason: "no-role" }
  return { type: "admin.refused", actor, requestId: "r", ...about }
}

test("[ADM-27] the first is recorded at once, the others as one with their count, each interval and at the end", async () => {
  const { clock, refusals, said, pass, end, store } = openRecord()
  for (let n = 0; n < 5; n++) refusals.login(login("192.0.2.1"))
  refusals.login(login("192.0.2.1", "token-expired"))
  refusals.login(login("192.0.2.2"))
  const first = [
    ["unknown", "192.0.2.1", 1],
    ["unknown", "192.0.2.1", 1],
    ["unknown", "192.0.2.2", 1],
  ]
  assert.deepEqual(said(), first)
  await clock.advance(5)
  refusals.login(login("192.0.2.1"))
  await pass()
  assert.deepEqual(said().slice(3), [["unknown", "192.0.2.1", 5]])
  const last = store.events.at(-1)
  assert.ok(last?.type === "login.refused")
  assert.deepEqual([last.since, last.at], [NOW, NOW + REFUSAL_INTERVAL / 1000])
  await pass()
  assert.equal(said().length, 4)
  for (let n = 0; n < 3; n++) refusals.login(login("192.0.2.1"))
  await end()
  assert.deepEqual(said().slice(4), [
    ["unknown", "192.0.2.1", 1],
    ["unknown", "192.0.2.1", 2],
  ])
})

test("[ADM-27] a flood from everywhere is 130 records an interval, and does not hide who is known", async () => {
  const { refusals, said, pass, end } = openRecord()
  for (let round = 0; round < 2; round++) {
    for (let n = 0; n < 5000; n++) refusals.login(login(`2001:db8::${n.toString(16)}`))
  }
  await refusals.operation(denied("x509-svid:spiffe://prod.example/a"))
  for (let n = 0; n < 200; n++) await refusals.operation(denied("x509-svid:spiffe://prod.example/b", `${n}`))
  await pass()
  const logins = said().filter(([actor]) => actor === "unknown")
  assert.equal(logins.length, 130)
  assert.equal(
    logins.reduce((sum, [, , count]) => sum + Number(count), 0),
    10_000,
  )
  assert.deepEqual(logins.at(-1), ["unknown", "others", 10_000 - 128 - 1])
  const known = said().filter(([actor]) => actor !== "unknown")
  assert.equal(known.length, 64 + 2)
  assert.deepEqual([known[0]?.[0], known.at(-1)], ["x509-svid:spiffe://prod.example/a", ["others", "", 201 - 64 - 1]])
  await end()
})

test("[BAN-06] streams that are refused to one caller are counted after the first; 10,000 callers are named, and all others one", async () => {
  const { refusals, said, pass, end, clock, store } = openRecord()
  const stream = (actor: string) =>
    refusals.stream({ type: "stream.refused", actor, requestId: "stream", code: "policy-denied", reason: "banned" })
  for (let n = 0; n < 4; n++) stream("k8s:main/shop/web/web-0")
  for (let n = 1; n < 10_002; n++) stream(`k8s:main/shop/web/web-${n}`)
  assert.equal(said().length, 10_001)
  await clock.advance(1)
  await pass()
  assert.deepEqual(said().slice(10_001), [
    ["k8s:main/shop/web/web-0", "", 3],
    ["others", "", 1],
  ])
  const counted = store.events.at(-2)
  assert.ok(counted?.type === "stream.refused")
  assert.deepEqual([counted.since, counted.reason], [NOW, "banned"])
  await end()
})

test("[ADM-27] a record that the store does not take is counted on, and who may not do something hears of it", async () => {
  const { store, refusals, said, pass, end, failures } = openRecord()
  store.onWrite = () => "lost"
  refusals.login(login("192.0.2.1"))
  refusals.login(login("192.0.2.1"))
  await assert.rejects(refusals.operation(denied("unix:uid=7,gid=1,pid=1")), { code: "not-ready" })
  await pass()
  assert.deepEqual(said(), [])
  assert.equal(failures.length, 3)
  store.onWrite = () => "none"
  await pass()
  assert.deepEqual(said(), [
    ["unknown", "192.0.2.1", 2],
    ["unix:uid=7,gid=1,pid=1", "", 1],
  ])
  await end()
})

test("[ADM-27] who is not let in does not wait for the audit log, and nothing is held up by him", async () => {
  const clock = new FakeClock(NOW)
  let asked = 0
  const append = () => {
    asked++
    return new Promise<never>(() => undefined)
  }
  const refusals = makeRecordRefusals({ audit: { append }, clock, failed: () => assert.fail() })
  for (let n = 0; n < 1000; n++) assert.equal(refusals.login(login(`192.0.2.${n}`)), undefined)
  assert.equal(asked, 65)
})
