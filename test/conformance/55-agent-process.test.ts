import assert from "node:assert/strict"
import { once } from "node:events"
import { access, lstat, mkdir, rm, symlink, unlink, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { dirname } from "node:path"
import { test } from "node:test"
import { Client, credentials } from "@grpc/grpc-js"
import { SpiffeWorkloadAPIClient } from "../../src/gen/spiffe/workload.ts"
import { runAgent } from "../../src/main/agent.ts"
import { prepareSocketPath } from "../../src/main/agent-socket.ts"
import { parseAgentConfig } from "../../src/main/config/agent-config.ts"
import { startAgentProcess } from "../support/agent-process.ts"
import { Child, showLogsOnFailure } from "../support/peers/child.ts"
import { quietLog } from "../support/quiet-log.ts"
import { makeScratch } from "../support/scratch.ts"
import { SdsClient } from "../support/sds-client.ts"
import { openServerUnderTest } from "../support/server-under-test.ts"
import { until } from "../support/until.ts"
import { StreamReader, secured } from "../support/workload-peer.ts"

test("[AGT-40] removes a socket that a killed process left, and makes its folder", async () => {
  await using folder = await makeScratch("socket")
  const path = folder.path("run", "a.sock")
  assert.equal(await prepareSocketPath(path), path)
  const script = `require("net").createServer().listen(${JSON.stringify(path)})`
  await using child = new Child({
    name: "owner",
    command: process.execPath,
    args: ["-e", script],
    log: folder.path("log"),
  })
  await child.until("listening", async () => ((await lstat(path)).isSocket() ? true : undefined), 60_000)
  await assert.rejects(prepareSocketPath(path), { code: "already-exists", message: /another process listens/ })
  child.signal("SIGKILL")
  await child.ended(10_000)
  assert.ok((await lstat(path)).isSocket())
  await prepareSocketPath(path)
  await assert.rejects(access(path))
})

test("[AGT-40] refuses what is not a socket, a link included, and leaves it alone", async () => {
  await using folder = await makeScratch("socket")
  const file = folder.path("file")
  await writeFile(file, "mine")
  await symlink(file, folder.path("link"))
  await mkdir(folder.path("folder"))
  for (const name of ["file", "link", "folder"]) {
    await assert.rejects(prepareSocketPath(folder.path(name)), {
      code: "already-exists",
      message: /not a socket/,
    })
    await lstat(folder.path(name))
  }
})

test("[AGT-40] says when a path is too long for a socket", async () => {
  const path = `/tmp/${"x".repeat(103)}`
  await assert.rejects(prepareSocketPath(path), { code: "malformed", message: /longer than 107 bytes/ })
})

test("[AGT-40] a folder that can never be made is a failure, not a search without end", {
  timeout: 30_000,
}, async () => {
  await using folder = await makeScratch("socket")
  await writeFile(folder.path("file"), "")
  for (const above of ["/proc/assay/run", folder.path("file", "run")]) {
    await assert.rejects(prepareSocketPath(`${above}/a.sock`), { code: "not-ready", reason: "folder-unusable" })
  }
})

test("[AGT-40] a second agent does not take the socket of the first", async () => {
  await using folder = await makeScratch("socket")
  const path = folder.path("a.sock")
  const first = createServer().listen(path)
  await once(first, "listening")
  await assert.rejects(runAgent(configOf(path), quietLog, new AbortController().signal), { code: "already-exists" })
  assert.ok(first.listening)
  first.close()
})

for (const mode of ["0660", "0777"]) {
  test(`[AGT-41] gives the socket the mode ${mode}, whatever the umask is`, async () => {
    await using folder = await makeScratch("socket")
    const path = folder.path("a.sock")
    const stop = new AbortController()
    const listening = Promise.withResolvers<void>()
    const umask = process.umask(mode === "0777" ? 0o077 : 0)
    const running = runAgent(configOf(path, mode), quietLog, stop.signal, listening.resolve)
    await Promise.race([listening.promise, running]).finally(() => process.umask(umask))
    assert.equal((await lstat(path)).mode & 0o777, Number.parseInt(mode, 8))
    stop.abort()
    await running
    await assert.rejects(access(path))
  })
}

test("[AGT-42] asked to stop, ends open streams cleanly and itself with 0, long before the drain timeout", async (t) => {
  await using server = await openServerUnderTest()
  await using folder = await makeScratch("drain")
  const bundleFile = folder.path("roots.pem")
  await writeFile(bundleFile, server.roots)
  await using agent = await startAgentProcess({
    name: "drained",
    folder: folder.path("agent"),
    trustDomain: server.setup.trustDomain,
    server: server.address,
    bundleFile,
    token: server.setup.token(),
    drain: "1m",
  })
  showLogsOnFailure(t, agent)
  const address = `unix:${agent.socket}`
  using sds = new SdsClient(address)
  sds.ask(["default"])
  await sds.response(1)
  const client = new SpiffeWorkloadAPIClient(address, credentials.createInsecure())
  using svids = new StreamReader(client.fetchX509Svid({}, secured()))
  using bundles = new StreamReader(client.fetchJwtBundles({}, secured()))
  await Promise.all([svids.next(), bundles.next()])
  const ends = [svids, bundles].map((reader) => assert.rejects(reader.next(), { code: 14, details: /agent stops/ }))
  agent.signal("SIGTERM")
  // The wait for its end is far shorter than its drain timeout.
  assert.equal(await agent.ended(), 0)
  await Promise.all(ends)
  assert.equal(await sds.ended(), 0)
  client.close()
  await assert.rejects(access(agent.socket))
})

test("[AGT-48] a SIGHUP does not end it, nor do many", async () => {
  await using folder = await makeScratch("hangup")
  await using agent = await startAgentProcess({ ...NOWHERE, folder: folder.directory })
  for (let i = 0; i < 50; i++) agent.signal("SIGHUP")
  agent.signal("SIGTERM")
  assert.equal(await agent.ended(), 0)
})

for (const [what, change] of [
  ["taken away", (path: string) => unlink(path)],
  ["replaced", (path: string) => unlink(path).then(() => writeFile(path, ""))],
  ["taken away with its folder", (path: string) => rm(dirname(path), { recursive: true })],
] as const) {
  test(`[AGT-49] ends with what is the matter when its socket is ${what}`, async () => {
    await using folder = await makeScratch("socket")
    const config = { socket: { path: folder.path("run", "a.sock") } }
    await using agent = await startAgentProcess({ ...NOWHERE, folder: folder.path("agent"), config })
    await change(config.socket.path)
    assert.equal(await agent.ended(), 1)
    assert.match(agent.log(), /the socket \S+a\.sock was taken away or replaced while it was served/)
  })
}

test("[AGT-42] does not wait longer than the drain timeout for a call that does not end", async () => {
  await using folder = await makeScratch("drain")
  const path = folder.path("a.sock")
  const stop = new AbortController()
  const listening = Promise.withResolvers<void>()
  const running = runAgent(configOf(path), quietLog, stop.signal, listening.resolve)
  await Promise.race([listening.promise, running])
  // The stream of a reflection client that is in no hurry.
  const client = new Client(`unix:${path}`, credentials.createInsecure())
  const same = (bytes: Buffer) => bytes
  const stream = client.makeBidiStreamRequest(REFLECTION, same, same)
  let failures = 0
  stream.on("error", () => failures++)
  stream.write(LIST_SERVICES)
  await once(stream, "data")
  stop.abort()
  await running
  await until("the stream to be cut", () => failures === 1)
  client.close()
})

/** An agent whose server and bootstrap are not there. */
const NOWHERE = {
  name: "alone",
  trustDomain: "prod.example",
  server: "127.0.0.1:1",
  bundleFile: "/nonexistent/bundle",
  token: "none",
}
const REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
/** ServerReflectionRequest with an empty `list_services`. */
const LIST_SERVICES = Buffer.from([0x3a, 0x00])

/** Of an agent whose server is not there. */
function configOf(path: string, mode = "0600") {
  const text = JSON.stringify({
    trust_domain: "prod.example",
    server: { address: "127.0.0.1:1" },
    bootstrap: { bundle_file: "/nonexistent/bundle" },
    token_file: "/nonexistent/token",
    socket: { path, mode },
    drain: { timeout: "1s" },
  })
  return parseAgentConfig(text, "agent.yaml")
}
