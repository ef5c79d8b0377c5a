import assert from "node:assert/strict"
import { chmod, lstat, mkdir, readFile, symlink, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { join } from "node:path"
import { test } from "node:test"
import { parse } from "yaml"
import { buildWholeProgram } from "../../src/main/command-table.ts"
import { isDryRun } from "../../src/main/commands/admin-command.ts"
import { commandTree } from "../../src/main/completion/command-tree.ts"
import { openAdminUnderTest } from "../support/admin-server.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { NEVER } from "../support/issue-fixture.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { openPipelineUnderTest } from "../support/server-under-test.ts"
import { until } from "../support/until.ts"
import { openX509Client } from "../support/x509-client.ts"

test("[ADM-11] the socket is beside the store, for its own user alone", async () => {
  await using server = await openAdminUnderTest()
  assert.equal(server.admin.socket, join(server.setup.folder, "admin.sock"))
  assert.equal((await lstat(server.admin.socket)).mode & 0o777, 0o600)
})

test("[ADM-11] another path and mode can be configured; a folder that is missing is made private", async () => {
  await using scratch = await makeScratch()
  const socket = scratch.path("run", "assay", "a.sock")
  await using server = await openAdminUnderTest({ config: { admin: { socket, socket_mode: "0666" } } })
  assert.equal((await lstat(socket)).mode & 0o777, 0o666)
  assert.equal((await lstat(scratch.path("run", "assay"))).mode & 0o777, 0o700)
  const reply = await server.client.call({ method: "GET", path: "/status", input: {} }, NEVER)
  assert.equal(reply["trust_domain"], "prod.example")
})

test("[ADM-12] a folder that others may write is refused", async () => {
  await using scratch = await makeScratch()
  const folder = scratch.path("open")
  await mkdir(folder)
  await chmod(folder, 0o777)
  await assert.rejects(openAdminUnderTest({ config: { admin: { socket: join(folder, "a.sock") } } }), {
    code: "not-ready",
    reason: "folder-unusable",
  })
})

test("[ADM-13] a file, a symlink and a socket that is in use are left as they are", async () => {
  await using scratch = await makeScratch()
  const file = scratch.path("file.sock")
  await writeFile(file, "precious")
  const link = scratch.path("link.sock")
  await symlink(scratch.path("target.sock"), link)
  const used = scratch.path("used.sock")
  const other = createServer().listen(used)
  try {
    for (const socket of [file, link, used]) {
      await assert.rejects(openAdminUnderTest({ config: { admin: { socket } } }), { code: "already-exists" }, socket)
    }
    assert.equal(await readFile(file, "utf8"), "precious")
    assert.ok((await lstat(link)).isSymbolicLink())
  } finally {
    other.close()
  }
})

test("[ADM-05][ADM-14] what a role says about a uid or a gid is what its processes may do", async () => {
  await using server = await openPipelineUnderTest({
    config: { admin: { roles: [{ name: "auditors", who: { gid: 4711 }, verbs: ["audit"] }] } },
  })
  assert.deepEqual(server.live().config.admin.roles[0]?.who, { gid: 4711 })
  assert.throws(() => server.setup.parse({ admin: { roles: [{ name: "a", who: {}, verbs: ["audit"] }] } }))
  assert.throws(() =>
    server.setup.parse({ admin: { roles: [{ name: "a", who: { uid: 1, gid: 1 }, verbs: ["audit"] }] } }),
  )
  assert.throws(() => server.setup.parse({ admin: { roles: [{ name: "a", who: { uid: 1 }, verbs: ["all"] }] } }))
  const bad = { spiffe_id: "spiffe://prod.example/assay/server" }
  assert.throws(() => server.setup.parse({ admin: { roles: [{ name: "a", who: bad, verbs: ["audit"] }] } }))
})

test("[ADM-13][ADM-14][ADM-30][ADM-32] a running server answers its own user, and one that was killed leaves a socket that is taken over", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  await initTrustDomain(setup)
  const absent = await runAssay(["status", "-c", setup.configFile])
  assert.equal(absent.code, 1)
  assert.match(
    absent.err,
    /^assay: admin-unreachable: no server answers at .*admin\.sock \(ENOENT\) \(next: start assay/,
  )
  {
    await using first = await startServerProcess(setup)
    const table = await runAssay(["status", "-c", setup.configFile])
    assert.equal(table.code, 0, table.err)
    assert.match(table.out, /^trust domain {2}prod\.example$/m)
    assert.match(table.out, /^root +active +[0-9a-f]{40} +20\d\d-.*\(in 364d\)$/m)
    first.signal("SIGKILL")
  }
  const stale = await runAssay(["status", "-c", setup.configFile])
  assert.match(stale.err, /ECONNREFUSED/)
  await using second = await startServerProcess(setup)
  const socket = join(scratch.directory, "admin.sock")
  // Its log begins with that of the first, which listened, too.
  const answers = async () => (await runAssay(["status", "--admin-socket", socket])).code === 0
  await until("the second server to answer", answers, 30_000)
  const json = await runAssay(["status", "--admin-socket", socket, "-o", "json"])
  assert.equal(json.code, 0, json.err)
  const status: unknown = JSON.parse(json.out)
  assert.ok(typeof status === "object" && status !== null && "ready" in status && "authorities" in status)
  assert.ok(Array.isArray(status.authorities))
  const yaml = await runAssay(["status", "-c", setup.configFile, "-o", "yaml"])
  assert.match(yaml.out, /^epoch: \d+$/m)
  const refused = second.log()
  assert.equal(refused.includes("somebody unknown"), false)
})

test("[ADM-30] every command that asks a server answers as table, JSON or YAML, and both say the same", async () => {
  const asking = commandTree(await buildWholeProgram()).filter(({ options }) =>
    options.some(({ flags }) => flags.includes("--admin-socket")),
  )
  assert.ok(asking.length >= 20)
  for (const { path, options } of asking) {
    const output = options.find(({ flags }) => flags.includes("--output"))
    assert.deepEqual(output?.choices, ["table", "json", "yaml"], path)
  }
  await using server = await openAdminUnderTest({ clock: new FakeClock(1_800_000_000) })
  for (const command of ["consumers list", "rotation status", "rotation plan", "ban list", "approval list"]) {
    const ask = (form: string) => runAssay([...command.split(" "), "--admin-socket", server.admin.socket, "-o", form])
    const [json, yaml] = [await ask("json"), await ask("yaml")]
    assert.deepEqual([json.code, yaml.code], [0, 0], `${command}: ${json.err}${yaml.err}`)
    assert.deepEqual(parse(yaml.out), JSON.parse(json.out), command)
  }
})

test("[ADM-30] assay log search asks a running server where one is named, which records who searched", async () => {
  await using server = await openAdminUnderTest()
  await openX509Client(server, "web")
  const there = ["--admin-socket", server.admin.socket]
  const asked = await runAssay(["log", "search", "--identity", WEB, ...there, "-o", "json"])
  const read = await runAssay(["log", "search", "--identity", WEB, "-c", server.setup.configFile, "-o", "json"])
  const [{ tbs: _tbs, requester, ...stored }] = JSON.parse(read.out)
  const { evidence_sha256: _digest, ...who } = requester
  assert.deepEqual(JSON.parse(asked.out), [{ ...stored, requester: who }], asked.err)
  const table = await runAssay(["log", "search", "--kind", "x509", ...there])
  assert.match(table.out, /^ISSUED .*\n.* x509 +issued /)
  const { records } = await server.state.store.auditSearch.search({ type: "admin.permitted", limit: 10 })
  assert.equal(records.filter(({ record }) => record.data.includes('"issuance.search"')).length, 2)
  const nowhere = await runAssay(["log", "search"])
  assert.deepEqual([nowhere.code, nowhere.err.includes("name the store")], [64, true])
})

const WEB = "spiffe://prod.example/ns/shop/sa/web"

test("[ADM-31] what takes something away is only tried until the user says that it is meant", () => {
  const options = { output: "table" } as const
  assert.equal(isDryRun(options), true)
  assert.equal(isDryRun({ ...options, dryRun: "true" }), true)
  assert.equal(isDryRun({ ...options, dryRun: "false" }), false)
  assert.equal(isDryRun({ ...options, yes: true }), false)
  assert.throws(() => isDryRun({ ...options, yes: true, dryRun: "true" }), /exclude each other/)
})
