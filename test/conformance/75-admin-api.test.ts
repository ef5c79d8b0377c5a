import assert from "node:assert/strict"
import { test } from "node:test"
import { z } from "zod"
import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { makeRecordRefusals } from "../../src/app/audit/record-refusals.ts"
import { callerSubject } from "../../src/core/admin/caller.ts"
import { type AdminScope, decideAdmin } from "../../src/core/admin/decide-admin.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { parseIdPattern } from "../../src/core/rules/id-pattern.ts"
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { type Contract, defineContract } from "../../src/transports/admin/contract.ts"
import { CONTRACTS } from "../../src/transports/admin/contracts.ts"
import { bindOperation } from "../../src/transports/admin/operation.ts"
import { makePerform } from "../../src/transports/admin/perform.ts"
import { openAdminUnderTest } from "../support/admin-server.ts"
import { ADMIN_HEADERS, JSON_HEADERS } from "../support/ask-raw.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { NEVER } from "../support/issue-fixture.ts"

const OWN = parseTrustDomain("prod.example")

test("[ADM-01][ADM-03] a request without the header, or from a page, gets 401 before its body is read", async () => {
  await using server = await openAdminUnderTest()
  const huge = "x".repeat(70_000)
  for (const headers of [{}, { "assay-admin": "0" }, { ...ADMIN_HEADERS, origin: "https://evil.example" }]) {
    const answer = await server.raw({ path: "/admin/v1/status", headers })
    assert.deepEqual([answer.status, answer.body["reason"]], [401, "admin-header-missing"])
    const posted = await server.raw({
      method: "POST",
      path: "/admin/v1/status",
      headers: { ...headers, "content-type": "text/plain" },
      body: huge,
    })
    assert.ok([401, 404, 405].includes(posted.status), String(posted.status))
  }
})

test("[ADM-02] a query with an unknown, a repeated or a wrong member is refused, with the member's name", async () => {
  await using server = await openAdminUnderTest()
  for (const [query, detail] of [
    ["limt=5", 'unknown member "limt"'],
    ["limit=5&limit=6", "limit"],
    ["limit=1001", "limit: must be from 1 to 1000"],
    ["limit=-1", "limit: must be a whole number"],
    ["serial=zz", "serial"],
    ["__proto__=1", "unknown member"],
    ["kind=x", "kind"],
    ["spiffe_id=nope", "SPIFFE ID"],
  ] as const) {
    const answer = await server.raw({ path: `/admin/v1/issuances?${query}` })
    assert.equal(answer.status, 400, query)
    assert.match(answer.type ?? "", /^application\/problem\+json/)
    assert.ok(String(answer.body["detail"]).includes(detail), `${query}: ${String(answer.body["detail"])}`)
  }
})

test("[ADM-02] another method, and a path that is not there, have their own answers", async () => {
  await using server = await openAdminUnderTest()
  const wrong = await server.raw({ method: "POST", path: "/admin/v1/status", headers: JSON_HEADERS, body: "{}" })
  assert.equal(wrong.status, 405)
  assert.deepEqual([wrong.body["code"], wrong.body["reason"]], ["unsupported", "method-not-allowed"])
  assert.equal(typeof wrong.body["request_id"], "string")
  const missing = await server.raw({ path: "/admin/v1/nothing" })
  assert.deepEqual([missing.status, missing.body["code"]], [404, "not-found"])
  assert.equal((await server.raw({ path: "/token" })).status, 404)
})

test("[ADM-02] a body that is too long, of another content type, or with a member twice has its own answer, and nothing is done", async () => {
  await using server = await openAdminUnderTest()
  const post = (body: string, headers: Readonly<Record<string, string>> = JSON_HEADERS) =>
    server.raw({ method: "POST", path: "/admin/v1/rotation/start", headers, body })
  const long = await post(JSON.stringify({ canary_prefixes: ["x".repeat(65_536)] }))
  assert.deepEqual([long.status, long.body["status"], long.body["reason"]], [413, 413, "body-too-long"])
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json5", "text/json"]) {
    const other = await post("{}", { ...JSON_HEADERS, "content-type": type })
    assert.deepEqual([other.status, other.body["reason"]], [415, "content-type-unsupported"], type)
  }
  for (const [body, detail] of [
    ['{"auto":false,"auto":true}', "auto"],
    ['{"auto":true,"\\u0061uto":false}', "auto"],
    ['{"canary_namespaces":[],"canary_namespaces":["shop"]}', "canary_namespaces"],
  ] as const) {
    const twice = await post(body)
    assert.deepEqual([twice.status, twice.body["code"]], [400, "malformed"], body)
    assert.ok(
      String(twice.body["detail"]).includes(detail) || /twice|repeated|duplicate/i.test(String(twice.body["detail"])),
    )
  }
  const octets = await server.raw({
    method: "POST",
    path: "/admin/v1/rotation/start",
    headers: JSON_HEADERS,
    body: Buffer.from('{"canary_namespaces":["\xff"]}', "latin1"),
  })
  assert.deepEqual([octets.status, octets.body["reason"]], [400, "request-malformed"])
  for (const body of ["[]", "1", "null", '"x"', "{", "{}x"]) assert.equal((await post(body)).status, 400, body)
  const asked = await server.raw({
    method: "POST",
    path: "/admin/v1/rotation/start?auto=true",
    headers: JSON_HEADERS,
    body: "{}",
  })
  assert.equal(asked.status, 400)
  assert.equal(server.pipeline.trust.record().rotations.x509.phase, "stable")
})

test("[ADM-04] a path that cannot be read is answered by a problem document, which does not repeat it", async () => {
  await using server = await openAdminUnderTest()
  for (const [path, status] of [
    ["/admin/v1/%zz", 400],
    ["/%c3%28", 400],
    [`/admin/v1/approvals/${"x".repeat(257)}/approve`, 414],
  ] as const) {
    const answer = await server.raw({ method: "POST", path, headers: JSON_HEADERS, body: "{}" })
    assert.deepEqual(
      [answer.status, answer.body["status"], answer.body["reason"]],
      [status, status, "request-malformed"],
    )
    assert.match(answer.type ?? "", /^application\/problem\+json/)
    assert.ok(!JSON.stringify(answer.body).includes(path))
  }
})

test("[ADM-02] what was issued is found by the serial that it has, and a text that is none is refused", async () => {
  await using server = await openAdminUnderTest()
  const [newest] = await server.state.store.issuanceLog.search({ kind: "x509", limit: 1 })
  const serial = newest?.intent.serial ?? assert.fail()
  const found = await server.client.call({ method: "GET", path: "/issuances", input: { serial } }, NEVER)
  assert.ok(JSON.stringify(found).includes(serial))
  await server.client.call({ method: "GET", path: "/audit", input: { serial } }, NEVER)
  for (const wrong of [serial.slice(1), `${serial}00`, serial.toUpperCase().replace(/^\w/, "A")]) {
    const refused = server.client.call({ method: "GET", path: "/issuances", input: { serial: wrong } }, NEVER)
    await assert.rejects(refused, { code: "malformed" }, wrong)
  }
})

test("[ADM-04] a bug is answered as internal, with the request's id and nothing else", async () => {
  await using server = await openAdminUnderTest({
    wrap: (state) => {
      const search = () => Promise.reject(new TypeError("canary"))
      return { ...state, store: Object.assign(Object.create(state.store), { issuanceLog: { search } }) }
    },
  })
  const answer = await server.raw({ path: "/admin/v1/issuances" })
  assert.deepEqual([answer.status, answer.body["code"]], [500, "internal"])
  assert.match(String(answer.body["request_id"]), /^[\w-]{8,}$/)
  assert.equal(JSON.stringify(answer.body).includes("canary"), false)
})

test("[ADM-04] what is refused says why and what to do next", async () => {
  await using server = await openAdminUnderTest()
  const refused = server.client.call({ method: "GET", path: "/status", input: { a: "b" } }, NEVER)
  await assert.rejects(refused, (error: unknown) => {
    assert.ok(error instanceof IdentityError)
    assert.deepEqual([error.code, error.reason], ["malformed", "request-invalid"])
    assert.match(error.next ?? "", /openapi/)
    return true
  })
})

const ALICE = { kind: "spiffe", id: parseSpiffeId("spiffe://prod.example/ops/alice"), proof: "x509-svid" } as const
const WHOLE: AdminScope = { kind: "trust-domain" }
const scopeOf = (...patterns: string[]): AdminScope => {
  return { kind: "ids", patterns: patterns.map((text) => parseIdPattern(text, OWN)) }
}

test("[ADM-05] nobody may do anything without a role that names the verb", () => {
  const shop = { kind: "spiffe", pattern: parseIdPattern("/ops/alice", OWN) } as const
  const role = { name: "shop", who: shop, verbs: ["bans"], prefixes: undefined } as const
  assert.deepEqual(decideAdmin(ALICE, "bans", WHOLE, []), { kind: "refuse", reason: "no-role" })
  assert.deepEqual(decideAdmin(ALICE, "bans", WHOLE, [role]), { kind: "permit", role: "shop" })
  assert.deepEqual(decideAdmin(ALICE, "rotation", WHOLE, [role]), { kind: "refuse", reason: "verb-not-granted" })
  const bob = { ...ALICE, id: parseSpiffeId("spiffe://prod.example/ops/bob") }
  assert.deepEqual(decideAdmin(bob, "bans", WHOLE, [role]), { kind: "refuse", reason: "no-role" })
  const peer = { kind: "peer", uid: 7, gid: 8, pid: 9 } as const
  assert.equal(decideAdmin(peer, "bans", WHOLE, [role]).kind, "refuse")
  const byGid = { ...role, who: { kind: "gid", gid: 8 } } as const
  assert.equal(decideAdmin(peer, "bans", WHOLE, [byGid]).kind, "permit")
  assert.equal(decideAdmin({ ...peer, uid: 8, gid: 7 }, "bans", WHOLE, [byGid]).kind, "refuse")
  assert.notEqual(callerSubject(peer), callerSubject({ ...peer, uid: 8 }))
})

test("[ADM-06] a role with prefixes covers identities within them, and nothing wider", () => {
  const who = { kind: "spiffe", pattern: parseIdPattern("/ops/*", OWN) } as const
  const prefixes = [parseIdPattern("/ns/shop/*", OWN)]
  const roles = [{ name: "shop", who, verbs: ["bans", "status"], prefixes }] as const
  const decide = (scope: AdminScope) => decideAdmin(ALICE, "bans", scope, roles).kind
  assert.equal(decide(scopeOf("/ns/shop/sa/web")), "permit")
  assert.equal(decide(scopeOf("/ns/shop/*", "/ns/shop/sa/a")), "permit")
  assert.equal(decide({ kind: "none" }), "permit")
  for (const wide of [
    scopeOf("/ns/*"),
    scopeOf("*"),
    scopeOf("/ns/shop/sa/web", "/ns/bank/sa/db"),
    scopeOf("/ns/shopping/sa/web"),
    scopeOf(),
    WHOLE,
    scopeOf("spiffe://other.example/ns/shop/sa/web"),
  ]) {
    assert.equal(decide(wide), "refuse", JSON.stringify(wide))
  }
})

const drop = defineContract({
  name: "thing.drop",
  verb: "bans",
  method: "POST",
  path: "/things/drop",
  summary: "for this test",
  destructive: true,
  request: z.strictObject({ name: z.string() }),
  response: z.strictObject({ dropped: z.boolean() }),
})

/** An operation that notes what it does, and what the audit log had by then. */
function dropFixture(answer: object = { dropped: true }) {
  const store = openMemoryStore()
  const steps: string[] = []
  const operation = bindOperation(drop, {
    scope: () => ({ kind: "trust-domain" }),
    target: ({ name }) => name,
    handle: async (_request, { dryRun }) => {
      steps.push(`${dryRun ? "tried" : "done"} after ${store.events.length}`)
      if ("fails" in answer) throw new IdentityError("conflict", "somebody was first", { reason: "told" })
      return answer as { dropped: boolean }
    },
  })
  const ops = { name: "ops", who: { kind: "uid", uid: 7 }, verbs: ["bans"], prefixes: undefined } as const
  const clock = new FakeClock(1_800_000_000)
  const audit = store.auditLog
  const perform = makePerform({
    roles: () => [ops],
    audit,
    refusals: makeRecordRefusals({ audit, clock, failed: () => {} }),
    clock,
    events: { answered: () => {}, proposed: () => {}, unauthenticated: () => {} },
    approvals: { isNeeded: () => false, propose: () => Promise.reject(new Error("nothing is proposed")) },
  })
  const ask = (input: object, uid = 7) => {
    return perform(operation, { caller: { kind: "peer", uid, gid: 1, pid: 2 }, requestId: "r1", input }, NEVER)
  }
  return { store, steps, ask }
}

test("[ADM-07] the record is there before anything is done, and without it nothing is", async () => {
  const { store, steps, ask } = dropFixture()
  await ask({ name: "x", dry_run: false })
  assert.deepEqual(steps, ["done after 1"])
  const { at: _, ...record } = store.events[0] ?? { at: 0 }
  assert.deepEqual(record, {
    type: "admin.permitted",
    actor: "unix:uid=7,gid=1,pid=2",
    requestId: "r1",
    operation: "thing.drop",
    target: "x",
    role: "ops",
    dryRun: false,
  })
  for (const fault of ["lost", "kept"] as const) {
    store.onWrite = () => fault
    await assert.rejects(ask({ name: "x", dry_run: false }), { code: "not-ready" })
  }
  assert.deepEqual(steps, ["done after 1"])
})

test("[ADM-07] refusals and failures are recorded, and so is a dry run; what is not well formed is not", async () => {
  const { store, ask } = dropFixture({ fails: true })
  await assert.rejects(ask({ name: "x" }, 8), { code: "policy-denied", reason: "no-role" })
  await assert.rejects(ask({ name: "x" }), { code: "conflict" })
  await assert.rejects(ask({ name: "x", other: 1 }), { code: "malformed" })
  await assert.rejects(ask({ name: "x", dry_run: "no" }), { code: "malformed" })
  const seen = store.events.map((event) => {
    const reason = "reason" in event ? event.reason : ""
    return `${event.type} ${reason}${"dryRun" in event ? event.dryRun : ""}`
  })
  assert.deepEqual(seen, ["admin.refused no-role", "admin.permitted true", "admin.failed told"])
})

test("[ADM-07] looks at the status are not recorded, searches are", async () => {
  await using server = await openAdminUnderTest()
  await server.client.call({ method: "GET", path: "/status", input: {} }, NEVER)
  await server.client.call({ method: "GET", path: "/issuances", input: { limit: "3" } }, NEVER)
  const text = await server.metrics.registry.metrics()
  assert.match(text, /^assay_admin_request_total\{operation="status.show",outcome="done"\} 1$/m)
  for (const contract of CONTRACTS) {
    if (contract.polled !== true) continue
    assert.equal(contract.method, "GET", contract.name)
    assert.deepEqual(
      Object.keys(contract.request.shape).filter((name) => name !== "kind"), // of authorities, of which there are two
      [],
      contract.name,
    )
  }
})

test("[ADM-08] operations of one noun that change something have one verb, whatever they do", () => {
  const verbs = new Map<string, string>()
  for (const { name, verb, method } of CONTRACTS) {
    if (method === "GET") continue
    const noun = name.split(".")[0] ?? ""
    assert.equal(verbs.get(noun) ?? verb, verb, name)
    verbs.set(noun, verb)
  }
  const names = CONTRACTS.map(({ name }) => name)
  assert.equal(new Set(names).size, names.length)
  for (const { name, method, destructive } of CONTRACTS) {
    assert.match(name, /^[a-z-]+\.[a-z-]+$/)
    assert.ok(!(method === "GET" && destructive === true), name)
  }
})

test("[ADM-09] no operation takes the path of a file, a URL or a command", () => {
  const suspicious = CONTRACTS.flatMap((contract) =>
    namesOf(contract).filter((name) =>
      /(^|_)(file|path|folder|directory|dir|url|uri|command|exec|sink|host)($|_)/.test(name),
    ),
  )
  assert.deepEqual(suspicious, [])
})

test("[ADM-10] an answer with a member that the schema does not have is a bug, not a leak", async () => {
  const { ask } = dropFixture({ dropped: true, secret: "canary" })
  await assert.rejects(ask({ name: "x" }))
  for (const { name, request, response } of CONTRACTS) {
    for (const schema of [request, response]) {
      assert.equal(JSON.stringify(z.toJSONSchema(schema, { io: "input" })).includes('"additionalProperties":{}'), false)
      assert.equal(z.toJSONSchema(schema, { io: "input" }).additionalProperties, false, name)
    }
  }
})

/** Names of all members of a request, at any depth. */
function namesOf({ request }: Contract): readonly string[] {
  const names: string[] = []
  JSON.stringify(z.toJSONSchema(request, { io: "input" }), (key, value: unknown) => {
    if (key === "properties" && typeof value === "object" && value !== null) names.push(...Object.keys(value))
    return value
  })
  return names
}
