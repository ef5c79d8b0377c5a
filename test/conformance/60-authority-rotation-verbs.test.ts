import assert from "node:assert/strict"
import { test } from "node:test"
import { statusTable } from "../../src/main/commands/rotation-output.ts"
import { rotationStatus } from "../../src/transports/admin/rotation-contracts.ts"
import { openAdminUnderTest } from "../support/admin-server.ts"
import { NEVER } from "../support/issue-fixture.ts"
import { runAssay } from "../support/run-assay.ts"

type Server = Awaited<ReturnType<typeof openAdminUnderTest>>

test("[ROT-50] a rotation is started, paused, resumed and aborted over the admin API, each recorded with who wanted it", async () => {
  await using server = await openAdminUnderTest()
  assert.equal((await status(server)).phase, "stable")
  const begun = await post(server, "start", { auto: false })
  assert.deepEqual([begun["phase"], begun["changed"]], ["planned", true])
  assert.equal((await post(server, "pause"))["paused"], true)
  assert.equal((await post(server, "resume", { auto: true }))["auto"], true)
  const tried = await post(server, "abort")
  assert.deepEqual([tried["phase"], tried["changed"]], ["planned", false])
  const done = await post(server, "abort", { dry_run: false })
  assert.deepEqual([done["phase"], done["changed"]], ["stable", true])
})

test("[ROT-48] an abort over the admin API takes a waiver, which needs a reason", async () => {
  await using server = await openAdminUnderTest()
  await post(server, "start", { auto: false })
  await assert.rejects(post(server, "abort", { consumers: [], dry_run: false }), { code: "malformed" })
  const tried = await post(server, "abort", { consumers: "all", reason: "stolen" })
  assert.deepEqual([tried["changed"], tried["late_count"]], [false, 0])
  const done = await post(server, "abort", { consumers: "all", reason: "stolen", dry_run: false })
  assert.deepEqual([done["phase"], done["changed"]], ["stable", true])
  const ended = await runAssay(["rotation", "abort", "--all", "--admin-socket", server.admin.socket])
  assert.deepEqual([ended.code, ended.err.includes("--reason")], [64, true])
})

test("[ROT-50] what cannot be done is refused with a stable reason and the next step", async () => {
  await using server = await openAdminUnderTest()
  for (const verb of ["advance", "pause", "rollback"]) {
    await assert.rejects(post(server, verb), { code: "conflict", reason: "nothing-under-way" })
  }
  await assert.rejects(post(server, "waive", { consumers: "all", reason: "drill", dry_run: false }), {
    reason: "nothing-under-way",
    next: /assay rotation start/,
  })
  await assert.rejects(post(server, "waive", { consumers: [], reason: "drill" }), { code: "malformed" })
  await assert.rejects(post(server, "waive", { consumers: "all", reason: "" }), { code: "malformed" })
  await post(server, "start", {})
  await assert.rejects(post(server, "start", {}), { code: "conflict", reason: "already-under-way" })
})

test("[ROT-08][ROT-50] a waiver with a name that nobody has is refused with the name, tried or meant, and nothing is waived", async () => {
  await using server = await openAdminUnderTest()
  await post(server, "emergency", { consumers: "all", reason: "stolen", dry_run: false })
  for (const meant of [{}, { dry_run: false }]) {
    const asked = post(server, "waive", { consumers: ["unseen-readers", "wbe"], reason: "drill", ...meant })
    await assert.rejects(asked, { code: "conflict", reason: "waiver-names-strangers", message: /wbe/, next: /status/ })
  }
  assert.ok((await status(server)).waivers.every(({ reason }) => reason !== "drill"))
})

test("[ROT-08] who is named by a waiver and is waited for by nobody is told of, and is not in it", async () => {
  await using server = await openAdminUnderTest({ config: { rotation: { reader_wait: "1h" } } })
  await post(server, "emergency", { consumers: "all", reason: "stolen", dry_run: false })
  const consumers = ["unseen-readers", "canary"]
  const done = await post(server, "waive", { consumers, reason: "drill", dry_run: false })
  assert.deepEqual([done["changed"], done["not_waived"]], [true, ["canary"]])
})

test("[ROT-50] an emergency is only tried until told otherwise, and then no bundle has the stolen root", async () => {
  await using server = await openAdminUnderTest()
  const root = () => server.pipeline.trust.snapshot().own.x509Authorities.map((der) => Buffer.from(der).toString("hex"))
  const [stolen] = root()
  const tried = await post(server, "emergency", { consumers: "all", reason: "stolen" })
  assert.equal(tried["changed"], false)
  assert.deepEqual(root(), [stolen])
  const done = await post(server, "emergency", { consumers: "all", reason: "stolen", dry_run: false })
  assert.deepEqual([done["phase"], done["emergency"]], ["retiring", true])
  assert.equal(root().length, 1)
  assert.notEqual(root()[0], stolen)
})

test("[ROT-50][ROT-68] an emergency in a rotation shows all that leaves; said again it is refused with what to do, unless it is meant", async () => {
  await using server = await openAdminUnderTest()
  const roots = () =>
    server.pipeline.trust.snapshot().own.x509Authorities.map((der) => Buffer.from(der).toString("hex"))
  const emergency = (...flags: readonly string[]) => {
    const args = ["emergency", "--reason", "stolen", "--all", "--yes", ...flags]
    return runAssay(["rotation", ...args, "--admin-socket", server.admin.socket])
  }
  const shown = async () => (await runAssay(["rotation", "status", "--admin-socket", server.admin.socket])).out
  await emergency()
  const [first] = roots()
  assert.match(await shown(), /^root +\S+ -> \S+$/m)
  const refused = await emergency()
  assert.equal(refused.code, 1)
  assert.match(refused.err, /emergency-under-way.*--again makes one more authority/s)
  assert.deepEqual(roots(), [first])
  assert.equal((await emergency("--again")).code, 0)
  assert.match(await shown(), /^root +\S+, \S+ -> \S+$/m)
  const { others, old, next } = await status(server)
  assert.equal(new Set([...(others ?? []), old, next]).size, 3)
  assert.deepEqual([roots().length, roots().includes(first ?? "")], [1, false])
})

test("[ROT-52] what is paused goes on by resuming it alone, and one that is given up has a place of its own", () => {
  const reply = { now: 10, kind: "x509", phase: "published", since: 5, to: "active", late_count: 0 } as const
  const rest = { consumers: 0, waivers: [], late: [], old: "aa", next: "bb", decision: true }
  assert.match(statusTable({ ...reply, ...rest }), /nobody is late; assay rotation advance takes it$/m)
  assert.match(statusTable({ ...reply, ...rest, auto: true }), /nobody is late; taken by itself$/m)
  for (const auto of [true, false])
    assert.match(statusTable({ ...reply, ...rest, auto, paused: true }), /nobody is late; assay rotation resume,/m)
  assert.match(statusTable({ ...reply, ...rest, phase: "unpublishing", to: "stable" }), /^\[UNPUBLISHING\] > stable$/m)
})

test("[ROT-50][ROT-52] the verbs are the same for JWT keys, and leave the root alone", async () => {
  await using server = await openAdminUnderTest()
  const { trust } = server.pipeline
  const { roots, jwtKeys } = trust.record()
  const begun = await post(server, "start", { kind: "jwt", auto: false })
  assert.deepEqual([begun["kind"], begun["phase"]], ["jwt", "planned"])
  assert.equal((await status(server)).phase, "stable", "of the root")
  const shown = await runAssay(["rotation", "status", "--kind", "jwt", "--admin-socket", server.admin.socket])
  assert.match(shown.out, /^keys +\S+ -> \(not made yet\)$/m)
  const canaries = { kind: "jwt", canary_namespaces: ["shop"] }
  await assert.rejects(post(server, "start", canaries), { code: "unsupported" })
  await assert.rejects(post(server, "start", { kind: "wit" }), { code: "malformed" })
  const planned = await runAssay(["rotation", "plan", "--kind", "jwt", "--admin-socket", server.admin.socket])
  assert.match(planned.out, /^JWT keys to replace: \S+$/m)
  assert.match(planned.out, /unseen-readers/, "readers of the JWKS have jwt.publish_ahead")
  const done = await post(server, "emergency", { kind: "jwt", consumers: "all", reason: "stolen", dry_run: false })
  assert.deepEqual([done["kind"], done["phase"]], ["jwt", "retiring"])
  const kids = trust.snapshot().own.jwtAuthorities.map(({ kid }) => kid)
  assert.ok(kids.length === 1 && !jwtKeys.some(({ kid }) => kids.includes(kid)))
  assert.deepEqual(trust.record().roots, roots)
})

test("[ROT-51] a plan says what would be waited for, and changes nothing", async () => {
  await using server = await openAdminUnderTest()
  const before = server.pipeline.trust.record()
  const plan = await server.client.call({ method: "GET", path: "/rotation/plan", input: {} }, NEVER)
  assert.deepEqual(Object.keys(plan).sort(), [
    "drained_by",
    "kind",
    "namespaces",
    "now",
    "old",
    "restart_readers",
    "silent",
    "silent_count",
    "trusted_by",
  ])
  assert.equal(server.pipeline.trust.record(), before)
})

async function post(server: Server, verb: string, input: object = {}) {
  return await server.client.call({ method: "POST", path: `/rotation/${verb}`, input: { ...input } }, NEVER)
}

async function status(server: Server) {
  return rotationStatus.response.parse(await server.client.call({ method: "GET", path: "/rotation", input: {} }, NEVER))
}
