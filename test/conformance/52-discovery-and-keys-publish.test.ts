import assert from "node:assert/strict"
import { mkdir, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { makeCelConditions } from "../../src/adapters/cel/cel-conditions.ts"
import { openPublicFolder } from "../../src/adapters/public-folder/public-folder.ts"
import { keepPublished } from "../../src/app/deliver/keep-published.ts"
import { makeChangeSignal } from "../../src/core/change-signal.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { publishedDocuments } from "../../src/core/oauth/publication.ts"
import { ConfigError } from "../../src/main/config/problem.ts"
import { parseServerConfig } from "../../src/main/config/server-config.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { makeHttpsFetch } from "../support/https-fetch.ts"

import { makeJwtKey } from "../support/jwt-key.ts"
import { JWT_SCHEDULE, openControlled, SKEW } from "../support/rotation/controlled.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { until } from "../support/until.ts"

const ISSUER = "https://assay.example"
const TENANT = "https://assay.example/tenants/one"
const NEVER = new AbortController().signal
const PATHS = {
  [ISSUER]: [
    "keys",
    ".well-known/openid-configuration",
    ".well-known/oauth-authorization-server",
    ".well-known/oauth-protected-resource",
  ],
  [TENANT]: [
    "tenants/one/keys",
    "tenants/one/.well-known/openid-configuration",
    ".well-known/oauth-authorization-server/tenants/one",
    "tenants/one/.well-known/oauth-authorization-server",
    ".well-known/oauth-protected-resource/tenants/one",
    "tenants/one/.well-known/oauth-protected-resource",
  ],
}

function documentsOf(issuer: string, ...keys: readonly ReturnType<typeof makeJwtKey>[]) {
  return publishedDocuments(
    { issuer, endpoints: issuer },
    keys.map(({ authority }) => authority),
  )
}

for (const [issuer, paths] of Object.entries(PATHS)) {
  test(`[PUB-01] a server writes what it serves, at every path of ${issuer}, once the folder is there`, async () => {
    await using scratch = await makeScratch()
    const directory = scratch.path("public")
    const setup = await makeServerSetup(scratch.directory, {
      listen: { grpc: "127.0.0.1:0", https: "127.0.0.1:0", health: "127.0.0.1:0" },
      serving: { dns_names: ["assay.example"] },
      oauth: { issuer, publish: [{ directory }] },
    })
    const { roots } = await initTrustDomain(setup)
    await using server = await startServerProcess(setup)
    const metrics = async () => (await fetch(`${server.healthUrl}/metrics`)).text()
    const failed = `assay_publication_total{target="${directory}",outcome="failed"} `
    await until("a write to fail, and the server to go on", async () => (await metrics()).includes(failed))
    assert.match(await metrics(), /^assay_publication_behind\{target="[^"]*"\} 1$/m)
    assert.match(server.log(), /"level":50.*"target":".*discovery and keys could not be written/)
    await mkdir(directory)
    await until("the next try", async () => /^assay_publication_behind\{.*\} 0$/m.test(await metrics()), 30_000)
    const served = makeHttpsFetch({ ca: roots, port: server.httpsPort ?? 0 })
    for (const path of paths) {
      const response = await served(`https://assay.example/${path}`)
      assert.equal(await readFile(join(directory, path), "utf8"), await response.text(), path)
    }
    const files = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((one) => one.isFile())
    assert.equal(files.length, paths.length)
  })
}

test("[PUB-02][PUB-03] a target follows each change, is looked at again, and is tried ever more slowly while it fails", async () => {
  await using fixture = publishing()
  const { clock, target, events } = fixture
  await clock.untilSleeping(1)
  assert.deepEqual(events, ["written"])
  await clock.advance(299)
  assert.equal(target.tries, 1)
  await clock.advance(1)
  assert.equal(target.tries, 2, "somebody else may have written there")
  target.fails = true
  fixture.change()
  await until("the change to be tried", () => target.tries === 3)
  const waits: number[] = []
  for (let round = 0; round < 8; round++) {
    const before = [target.tries, clock.monotonic()] as const
    while (target.tries === before[0]) await clock.advance(1)
    waits.push((clock.monotonic() - before[1]) / 1000)
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60])
  assert.equal(events.filter((one) => one === "failed").length, 9)
  target.fails = false
  fixture.change()
  await until("the change not to wait for the next try", () => events.at(-1) === "written")
  assert.equal(target.seen, "new")
})

test("[PUB-02] a folder follows a rotation: the next key is there before it signs, the last one until its tokens are gone", async () => {
  await using scratch = await makeScratch()
  const { fixture, controller } = await openControlled({ rows: [] }, { kind: "jwt" })
  const authorities = () => fixture.trust.snapshot().own.jwtAuthorities
  const stop = new AbortController()
  const running = keepPublished(
    {
      issuer: ISSUER,
      target: openPublicFolder(scratch.directory),
      documents: () => publishedDocuments({ issuer: ISSUER, endpoints: ISSUER }, authorities()),
      changed: (signal) => fixture.trust.changed(signal),
      clock: fixture.clock,
      events: { published: () => {}, failed: (_, thrown) => assert.fail(String(thrown)) },
    },
    stop.signal,
  )
  const kidsInFolder = async (): Promise<readonly string[]> => {
    const text = await readFile(scratch.path("keys"), "utf8").catch(() => '{"keys":[]}')
    return JSON.parse(text).keys.map(({ kid }: { readonly kid: string }) => kid)
  }
  const { keyTtl, publishAhead } = JWT_SCHEDULE
  for (const [seconds, published] of [
    [0, 1],
    [keyTtl - publishAhead, 2],
    [publishAhead + SKEW, 2],
    [SKEW, 1],
  ] as const) {
    await fixture.clock.advance(seconds)
    await controller.drive()
    const kids = authorities().map(({ kid }) => kid)
    assert.equal(kids.length, published)
    await until("the folder to have these keys", async () => (await kidsInFolder()).join() === kids.join())
    assert.ok(kids.includes(fixture.jwtKeys.active("ES256").kid))
  }
  stop.abort()
  await running
})

test("[PUB-03] no key signs sooner or later because of a target that fails", async () => {
  const { fixture, controller } = await openControlled({ rows: [] }, { kind: "jwt" })
  const stop = new AbortController()
  const failing = keepPublished(
    {
      issuer: ISSUER,
      target: { name: "x", publish: () => Promise.reject(new IdentityError("not-ready", "no")) },
      documents: () =>
        publishedDocuments({ issuer: ISSUER, endpoints: ISSUER }, fixture.trust.snapshot().own.jwtAuthorities),
      changed: (signal) => fixture.trust.changed(signal),
      clock: { sleep: (_, signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())) },
      events: { published: () => assert.fail("published"), failed: () => {} },
    },
    stop.signal,
  )
  const first = fixture.jwtKeys.active("ES256").kid
  const { keyTtl, publishAhead } = JWT_SCHEDULE
  for (const [seconds, replaced] of [
    [keyTtl - publishAhead, false],
    [publishAhead + SKEW - 1, false],
    [1, true],
  ] as const) {
    await fixture.clock.advance(seconds)
    await controller.drive()
    assert.equal(fixture.jwtKeys.active("ES256").kid !== first, replaced)
  }
  stop.abort()
  await failing
})

test("[PUB-04] files are replaced as a whole while they are read, for all to read, and nothing is left beside them", async () => {
  await using scratch = await makeScratch()
  const folder = openPublicFolder(scratch.directory)
  const states = Array.from({ length: 20 }, (_, i) =>
    documentsOf(ISSUER, ...Array.from({ length: (i % 3) + 1 }, () => makeJwtKey())),
  )
  const texts = new Set(states.map(([keys]) => keys?.content))
  const file = scratch.path("keys")
  assert.equal(await folder.publish(states[0] ?? [], ISSUER, NEVER), "written")
  let writing = true
  const reading = (async () => {
    while (writing) assert.ok(texts.has(await readFile(file, "utf8")))
  })()
  for (const documents of states.slice(1)) assert.equal(await folder.publish(documents, ISSUER, NEVER), "written")
  writing = false
  await reading
  const { mtimeMs, mode } = await stat(file)
  assert.equal(mode & 0o777, 0o644)
  assert.equal(await folder.publish(states.at(-1) ?? [], ISSUER, NEVER), "unchanged")
  assert.equal((await stat(file)).mtimeMs, mtimeMs)
  await writeFile(file, "{}")
  assert.equal(await folder.publish(states.at(-1) ?? [], ISSUER, NEVER), "written")
  assert.deepEqual((await readdir(scratch.directory)).toSorted(), [".well-known", "keys"])
})

test("[PUB-04] what a stopped process left is removed, but not what another one may be writing", async () => {
  await using scratch = await makeScratch()
  const [old, young, others] = [".keys.0123456789ab.new", ".keys.ba9876543210.new", ".keys.txt.new"].map((name) =>
    scratch.path(name),
  )
  for (const file of [old, young, others]) await writeFile(file ?? "", "x")
  for (const file of [old, others]) await utimes(file ?? "", 1, 1)
  await openPublicFolder(scratch.directory).publish(documentsOf(ISSUER, makeJwtKey()), ISSUER, NEVER)
  const left = (await readdir(scratch.directory)).filter((name) => name.startsWith(".keys"))
  assert.deepEqual(left.toSorted(), [".keys.ba9876543210.new", ".keys.txt.new"])
})

test("[PUB-04] a folder that is not there, or is another issuer's, is refused and stays as it is", async () => {
  await using scratch = await makeScratch()
  const documents = documentsOf(ISSUER, makeJwtKey())
  for (const path of [scratch.path("nowhere"), import.meta.filename]) {
    const refused = openPublicFolder(path).publish(documents, ISSUER, NEVER)
    await assert.rejects(refused, { code: "not-ready", reason: "folder-unusable" })
  }
  // Nothing can be made there, and Node's recursive form would try for ever.
  const nowhere = openPublicFolder("/proc").publish(documents, ISSUER, NEVER)
  await assert.rejects(nowhere, { code: "not-ready", reason: "folder-unusable" })
  const other = documentsOf("https://other.example", makeJwtKey())
  const folder = openPublicFolder(scratch.directory)
  await folder.publish(other, "https://other.example", NEVER)
  const keys = await readFile(scratch.path("keys"), "utf8")
  await assert.rejects(folder.publish(documents, ISSUER, NEVER), { code: "already-exists" })
  assert.equal(await readFile(scratch.path("keys"), "utf8"), keys)
})

test("[PUB-06] a target that is not one place, or is there twice, or an issuer that is no path, is refused", () => {
  const map = { namespace: "a", name: "b" }
  for (const [publish, message, issuer = ISSUER, publish_ahead = "10m"] of [
    [[{ directory: "x" }], /publish_ahead: must be at least 10m with oauth.publish/, ISSUER, "599s"],
    [[{}], /exactly one of directory and config_map/],
    [[{ directory: "x", config_map: map }], /exactly one of directory and config_map/],
    [[{ config_map: { ...map, url: "https://k", kubeconfig: "/k" } }], /exclude each other/],
    [[{ config_map: { ...map, token_file: "/t" } }], /no meaning without url/],
    [[{ config_map: { ...map, context: "c" } }], /no meaning without kubeconfig/],
    [[{ config_map: { ...map, namespace: "../x" } }], /name of Kubernetes/],
    [[{ directory: "x" }, { directory: "x" }], /is there already/],
    [[{ config_map: map }, { config_map: { ...map, kubeconfig: "/k" } }], /is there already/],
    [[{ directory: "x" }], /whose path can be that of a file/, `${ISSUER}/a%2Fb`],
    [[{ directory: "x" }], /whose path can be that of a file/, `${ISSUER}/a//b`],
    [[{ directory: "x" }], /whose path can be that of a file/, `${ISSUER}/.well-known/x`],
  ] as const) {
    const text = JSON.stringify({ trust_domain: "prod.example", jwt: { publish_ahead }, oauth: { issuer, publish } })
    const parse = () => parseServerConfig(text, "assay.yaml", makeCelConditions().compile)
    assert.throws(parse, (thrown) => thrown instanceof ConfigError && message.test(thrown.message), text)
  }
})

test("[PUB-07] the command writes to a folder or to what is configured, and fails when one of them fails", async () => {
  await using scratch = await makeScratch()
  const [one, two, three] = ["one", "two", "three"].map((name) => scratch.path(name))
  const oauth = { issuer: TENANT, publish: [{ directory: one }, { directory: two }] }
  const setup = await makeServerSetup(scratch.directory, { oauth })
  await initTrustDomain(setup)
  const publish = (...args: readonly string[]) => runAssay(["oidc", "publish", "-c", setup.configFile, ...args])
  await Promise.all([two ?? "", three ?? ""].map((path) => mkdir(path)))
  assert.deepEqual(await publish("--directory", three ?? ""), { code: 0, out: `${three}: written\n`, err: "" })
  const found = await readdir(three ?? "", { recursive: true, withFileTypes: true })
  const files = found.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  assert.deepEqual(files.toSorted(), PATHS[TENANT]?.map((path) => join(three ?? "", path)).toSorted())
  const failed = await publish()
  assert.deepEqual([failed.code, failed.out], [1, `${two}: written\n`])
  assert.match(failed.err, /^assay: folder-unusable: folder ".*one" cannot be written \(ENOENT\) \(next: /)
  await setup.write({ oauth: { issuer: TENANT } })
  assert.equal((await publish()).code, 64)
  await setup.write({})
  assert.match((await publish("--directory", three ?? "")).err, /^assay: no-issuer: /)
  await setup.write({ oauth, storage: { sqlite: scratch.path("nothing.db") } })
  assert.equal((await publish("--directory", three ?? "")).code, 1)
})

/** A target on a clock that the test moves; its documents are `old` until {@link change}. */
function publishing() {
  const clock = new FakeClock(1_800_000_000)
  const changes = makeChangeSignal()
  const events: string[] = []
  const target = { name: "x", tries: 0, fails: false, seen: "" }
  let content = "old"
  const stop = new AbortController()
  const running = keepPublished(
    {
      issuer: ISSUER,
      target: {
        name: "x",
        publish: async ([document]) => {
          target.tries++
          if (target.fails) throw new IdentityError("not-ready", "no")
          target.seen = document?.content ?? ""
          return "written"
        },
      },
      documents: () => [{ name: "keys", paths: ["keys"], content }],
      changed: (signal) => changes.changed(signal),
      clock,
      events: { published: (_, outcome) => events.push(outcome), failed: () => events.push("failed") },
    },
    stop.signal,
  )
  return {
    clock,
    target,
    events,
    change: () => {
      content = "new"
      changes.fire()
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await running
    },
  }
}
