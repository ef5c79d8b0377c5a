import assert from "node:assert/strict"
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, rmdir, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { makeVersionName } from "../../src/adapters/pem-files/version-name.ts"
import { openVersionedDirectory } from "../../src/adapters/pem-files/versioned-directory.ts"
import { openWorkloadClient } from "../../src/adapters/workload-client/workload-client.ts"
import { keepFilesWritten } from "../../src/app/agent-files/write-files.ts"
import { Secret } from "../../src/core/secret.ts"
import { parseWorkloadEndpoint } from "../../src/core/spiffe/endpoint.ts"
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { FileContent, FileSet } from "../../src/ports/file-set.ts"
import type { WorkloadApi, X509Material } from "../../src/ports/workload-api.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { FakeSource } from "../support/fake-source.ts"
import { fakeBundle, fakeSvid, fakeView } from "../support/fake-view.ts"
import { quietLog } from "../support/quiet-log.ts"
import { openWorkloadPeer } from "../support/workload-peer.ts"

async function openScratch(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "assay-files-"))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

function pair(n: number): ReadonlyMap<string, FileContent> {
  return new Map([
    ["svid.pem", { content: `certificate ${n}`, secret: false }],
    ["svid_key.pem", { content: `key ${n}`, secret: true }],
  ])
}

test("[CLI-04] a reader that resolves the version once never sees a mixed pair, through 50 changes", async () => {
  await using scratch = await openScratch()
  const files = openVersionedDirectory(scratch.path, makeVersionName)
  await files.publish(pair(0))
  let writing = true
  const reading = (async () => {
    let pairs = 0
    while (writing) {
      const version = join(scratch.path, await readlink(join(scratch.path, "..data")))
      const contents = await Promise.all(
        ["svid.pem", "svid_key.pem"].map((name) => readFile(join(version, name), "utf8").catch(() => undefined)),
      )
      const [certificate, key] = contents
      if (certificate === undefined || key === undefined) continue // this version was replaced meanwhile: resolve again
      assert.equal(certificate.split(" ")[1], key.split(" ")[1])
      pairs++
    }
    return pairs
  })()
  for (let n = 1; n <= 50; n++) await files.publish(pair(n))
  writing = false
  assert.ok((await reading) > 0)
  assert.equal(await readFile(join(scratch.path, "svid.pem"), "utf8"), "certificate 50")
})

test("[CLI-04] old versions and names that the set no longer has are removed", async () => {
  await using scratch = await openScratch()
  const files = openVersionedDirectory(scratch.path, makeVersionName)
  await files.publish(new Map([...pair(0), ["bundle.partner.example.pem", { content: "x", secret: false }]]))
  await files.publish(pair(1))
  const names = await readdir(scratch.path)
  assert.equal(names.length, 4)
  assert.deepEqual(names.filter((name) => !/^\.\.\d{4}_/.test(name)).sort(), ["..data", "svid.pem", "svid_key.pem"])
})

test("[CLI-05] a key is for its owner only, and a file of somebody else is not replaced", async () => {
  await using scratch = await openScratch()
  const files = openVersionedDirectory(scratch.path, makeVersionName)
  await files.publish(pair(0))
  assert.equal((await stat(join(scratch.path, "svid_key.pem"))).mode & 0o777, 0o600)
  await using other = await openScratch()
  await writeFile(join(other.path, "svid.pem"), "mine")
  await assert.rejects(openVersionedDirectory(other.path, makeVersionName).publish(pair(1)), { code: "already-exists" })
  assert.equal(await readFile(join(other.path, "svid.pem"), "utf8"), "mine")
})

test("[CLI-04] files follow the Workload API, each change is announced once, and an outage leaves them", async () => {
  await using scratch = await openScratch()
  const source = new FakeSource()
  source.ready(viewOfGeneration(1))
  await using peer = await openWorkloadPeer(source)
  using api = openWorkloadClient(parseWorkloadEndpoint(peer.address))
  const stop = new AbortController()
  const announced: string[] = []
  const clock = new FakeClock(0)
  const running = keepFilesWritten(
    {
      api,
      files: openVersionedDirectory(scratch.path, makeVersionName),
      clock,
      log: quietLog,
      changed: async () => {
        announced.push(await readFile(join(scratch.path, "svid.pem"), "utf8"))
      },
    },
    stop.signal,
  )
  await until(() => announced.length === 1)
  const second = viewOfGeneration(2)
  source.ready(second)
  await until(() => announced.length === 2)
  assert.match(announced[1] ?? "", /^-----BEGIN CERTIFICATE-----\nMAEC\n-----END CERTIFICATE-----\n$/)
  assert.match(await readFile(join(scratch.path, "bundle.partner.example.pem"), "utf8"), /BEGIN CERTIFICATE/)
  assert.match(await readFile(join(scratch.path, "svid_key.pem"), "utf8"), /BEGIN PRIVATE KEY/)
  source.wait()
  await until(() => source.reports.size === 0)
  assert.equal(await readFile(join(scratch.path, "svid.pem"), "utf8"), announced[1])
  source.ready(second)
  await clock.untilSleeping(1)
  await clock.advance(1)
  await until(() => [...source.reports.values()].some(({ epoch }) => epoch > 0))
  source.ready(viewOfGeneration(3))
  await until(() => announced.length > 2)
  assert.match(announced[2] ?? "", /^-----BEGIN CERTIFICATE-----\nMAED\n/, "what was there already is no change")
  stop.abort()
  await running
})

test("[CLI-04] whoever was busy while several changes came gets the newest set, and none that was overtaken", async () => {
  const source = new FakeSource({ kind: "ready", view: viewOfGeneration(1) })
  await using peer = await openWorkloadPeer(source)
  using api = openWorkloadClient(parseWorkloadEndpoint(peer.address))
  const stop = new AbortController()
  const seen: number[] = []
  for await (const { svids } of api.watchX509(stop.signal)) {
    seen.push(svids[0]?.chain[0]?.at(-1) ?? 0)
    if (seen.at(-1) === 5) break
    if (seen.length > 1) continue
    for (let n = 2; n <= 5; n++) {
      source.ready(viewOfGeneration(n))
      await until(() => [...source.reports.values()].every(({ epoch }) => epoch === n))
    }
    await api.fetchJwt(["db"], undefined, stop.signal) // by its answer all of them are here
  }
  stop.abort()
  assert.equal(seen.includes(2), false, seen.join())
})

test("[CLI-08] what cannot be written leaves the files that are there, nothing half written, and another try", async () => {
  await using scratch = await openScratch()
  const files = openVersionedDirectory(scratch.path, makeVersionName)
  await files.publish(pair(0))
  const before = await readdir(scratch.path)
  await mkdir(join(scratch.path, "..data_next")) // stands in the way of the last step
  await assert.rejects(files.publish(pair(1)), { code: "not-ready", reason: "folder-unusable" })
  await rmdir(join(scratch.path, "..data_next"))
  assert.deepEqual(await readdir(scratch.path), before)
  assert.equal(await readFile(join(scratch.path, "svid.pem"), "utf8"), "certificate 0")
  await files.publish(pair(1))
  await assert.rejects(openVersionedDirectory(join(scratch.path, "svid.pem"), makeVersionName).publish(pair(2)), {
    code: "not-ready",
    message: /svid\.pem" cannot be written \(E/,
  })
})

test("[CLI-08] a folder that can never be made is a failure, not a search without end", {
  timeout: 30_000,
}, async () => {
  const nowhere = openVersionedDirectory("/proc/assay/files", makeVersionName)
  await assert.rejects(nowhere.publish(pair(0)), { code: "not-ready", reason: "folder-unusable" })
  await using scratch = await openScratch()
  const deep = join(scratch.path, "a", "b", "c")
  await openVersionedDirectory(deep, makeVersionName).publish(pair(0))
  assert.equal(await readFile(join(deep, "svid.pem"), "utf8"), "certificate 0")
})

test("[CLI-05][CLI-08] a file of somebody else ends the command at once: no further try makes it ours", async () => {
  await using scratch = await openScratch()
  await writeFile(join(scratch.path, "svid.pem"), "theirs")
  const deps = {
    api: oneMessage(),
    files: openVersionedDirectory(scratch.path, makeVersionName),
    clock: new FakeClock(0), // nobody moves it, so a second try would wait for ever
    log: quietLog,
    changed: () => assert.fail("nothing was written"),
  }
  await assert.rejects(keepFilesWritten(deps, new AbortController().signal), { code: "already-exists" })
  assert.equal(await readFile(join(scratch.path, "svid.pem"), "utf8"), "theirs")
})

test("[CLI-08] files that cannot be written are tried ever more slowly, until they can, and then the program is told", async () => {
  await using scratch = await openScratch()
  const file = join(scratch.path, "in-the-way")
  await writeFile(file, "")
  const folder = openVersionedDirectory(file, makeVersionName)
  let tries = 0
  const files: FileSet = { publish: (set) => folder.publish(set).finally(() => tries++) }
  const clock = new FakeClock(0)
  const stop = new AbortController()
  const told = Promise.withResolvers<void>()
  const deps = { api: oneMessage(), files, clock, log: quietLog, changed: async () => told.resolve() }
  const running = keepFilesWritten(deps, stop.signal)
  const waits: number[] = []
  for (const wait of [0.5, 1, 2, 4, 8, 16, 30, 30]) {
    await Promise.race([clock.untilSleeping(1), running])
    const before = tries
    await clock.advance(wait - 0.001)
    assert.equal(tries, before, `after ${waits.join()}`)
    await clock.advance(0.001)
    waits.push(wait)
  }
  await clock.untilSleeping(1)
  await rm(file)
  await clock.advance(30)
  await told.promise
  assert.match(await readFile(join(file, "svid.pem"), "utf8"), /BEGIN CERTIFICATE/)
  stop.abort()
  await running
})

/** Says the same at each connection, and then nothing. */
function oneMessage(): Pick<WorkloadApi, "watchX509"> {
  const der = Buffer.from([0x30, 1, 1])
  const spiffeId = parseSpiffeId("spiffe://prod.example/a")
  const svid = { spiffeId, hint: "", chain: [der], key: new Secret(Buffer.from([1])), bundle: [der] }
  return {
    async *watchX509(signal): AsyncGenerator<X509Material> {
      yield { svids: [svid], federated: new Map() }
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }))
    },
  }
}

/** The smallest DER sequences there are stand in for certificates. */
function viewOfGeneration(n: number) {
  const der = Buffer.from([0x30, 1, n])
  const federatesWith = [parseTrustDomain("partner.example")]
  return fakeView({
    epoch: n,
    svids: [fakeSvid("spiffe://prod.example/a", { chain: [der], federatesWith })],
    own: fakeBundle("prod.example", { x509Authorities: [der] }),
    federated: [fakeBundle("partner.example", { x509Authorities: [der] })],
  })
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("condition not met in time")
    await new Promise((resolve) => setImmediate(resolve))
  }
}
