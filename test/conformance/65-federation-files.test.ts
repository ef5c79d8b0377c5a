import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { mkdir, symlink, writeFile } from "node:fs/promises"
import { test } from "node:test"
import { promisify } from "node:util"
import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { makeServerMetrics } from "../../src/adapters/metrics/registry.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import type { FederatedDomain } from "../../src/app/federate/events.ts"
import { makeChangeSignal } from "../../src/core/change-signal.ts"
import { IdentityError } from "../../src/core/errors.ts"
import type { TrustBundle } from "../../src/core/spiffe/bundle.ts"
import { encodeBundle } from "../../src/core/spiffe/bundle-document.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { openFederation } from "../../src/main/server/federation.ts"
import { makeFederationEvents } from "../../src/main/server/federation-events.ts"
import { makeReadBundleFile } from "../../src/main/server/read-bundle-file.ts"
import type { Clock } from "../../src/ports/clock.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { fakeBundle } from "../support/fake-view.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { quietLog } from "../support/quiet-log.ts"
import { makeScratch } from "../support/scratch.ts"
import { makeTestCa } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

const PARTNER = parseTrustDomain("partner.example")
const OTHER = parseTrustDomain("other.example")
const DER = makeTestCa({ trustDomain: PARTNER }).root.certificate.der

/** A federation over bundles that a test changes, and what it published. */
class World {
  domains: readonly FederatedDomain[] = []
  published: readonly TrustBundle[] = []
  failure: IdentityError | undefined
  readonly adopted = makeChangeSignal()
  readonly store = openMemoryStore()

  open(clock: Clock, read?: (domain: FederatedDomain) => Promise<TrustBundle>) {
    return openFederation({
      domains: () => this.domains,
      reconfigured: (signal) => this.adopted.changed(signal),
      incarnation: "a",
      publish: async (bundles) => {
        if (this.failure !== undefined) throw this.failure
        this.published = bundles
      },
      store: this.store.federatedBundles,
      clock,
      events: makeFederationEvents(quietLog, makeServerMetrics()),
      ...(read === undefined ? {} : { read }),
    })
  }

  get names(): readonly string[] {
    return this.published.map(({ trustDomain, sequence }) => `${trustDomain} ${sequence}`)
  }
}

function makeWorld(...domains: readonly FederatedDomain[]): World {
  const world = new World()
  world.domains = domains
  return world
}

test("[TD-22] a bundle that agents would refuse, or that is too much with the others, is bad, and the last good one stays", async () => {
  const keys = Array.from({ length: 257 }, () => makeJwtKey().authority)
  const certificates = Array.from({ length: 257 }, () => DER)
  const large = (count: number) => [new Uint8Array(count)]
  const world = makeWorld({ trustDomain: PARTNER, bundleFile: "/p" }, { trustDomain: OTHER, bundleFile: "/o" })
  let partner: TrustBundle = fakeBundle(PARTNER, { sequence: 1, x509Authorities: large(1_000_000) })
  const other = fakeBundle(OTHER, { sequence: 1, x509Authorities: large(1_000_000) })
  const clock = new FakeClock(1_800_000_000)
  const federation = await world.open(clock, async ({ trustDomain }) => (trustDomain === PARTNER ? partner : other))
  const stop = new AbortController()
  const running = federation.run(stop.signal)
  const troubleWith = async (next: Partial<TrustBundle>) => {
    partner = fakeBundle(PARTNER, { sequence: 2, ...next })
    await clock.untilSleeping(1)
    await clock.advance(6)
    return federation.facts()[0]?.trouble?.reason
  }
  assert.equal(await troubleWith({ jwtAuthorities: keys }), "bundle has more than 256 JWT keys")
  assert.equal(await troubleWith({ x509Authorities: certificates }), "bundle has more than 256 certificates")
  const total = "all federated bundles together would be longer than 2 MiB"
  assert.equal(await troubleWith({ x509Authorities: large(1_200_000) }), total)
  assert.deepEqual(world.names, ["partner.example 1", "other.example 1"])
  assert.equal(await troubleWith({ jwtAuthorities: keys.slice(1), x509Authorities: certificates.slice(1) }), undefined)
  assert.deepEqual(world.names, ["partner.example 2", "other.example 1"])
  stop.abort()
  await running
})

test("[TD-23] a server that cannot publish what it trusts does not start", async () => {
  const world = makeWorld({ trustDomain: PARTNER, bundleFile: "/p" })
  world.failure = new IdentityError("not-ready", "store cannot write")
  const read = async () => fakeBundle(PARTNER)
  await assert.rejects(world.open(new FakeClock(1_800_000_000), read), { code: "not-ready" })
})

test("[TD-24] reads a regular file of a bundle, through links, and nothing else", { timeout: 60_000 }, async () => {
  await using scratch = await makeScratch()
  const read = makeReadBundleFile(systemClock)
  const reasonOf = async (name: string) => {
    const bundleFile = scratch.path(name)
    return read({ trustDomain: PARTNER, bundleFile }).then(
      ({ sequence }) => sequence,
      (thrown: unknown) => (thrown instanceof IdentityError ? `${thrown.code}: ${thrown.message}` : "a bug"),
    )
  }
  const text = encodeBundle(fakeBundle(PARTNER, { sequence: 7, x509Authorities: [DER] }))
  await writeFile(scratch.path("good"), text)
  await symlink(scratch.path("good"), scratch.path("link"))
  assert.deepEqual([await reasonOf("good"), await reasonOf("link")], [7, 7])
  await mkdir(scratch.path("folder"))
  await promisify(execFile)("mkfifo", [scratch.path("pipe")])
  await symlink("/dev/zero", scratch.path("device"))
  await writeFile(scratch.path("long"), text.padEnd(1024 * 1024 + 1))
  await writeFile(scratch.path("full"), text.padEnd(1024 * 1024))
  await writeFile(scratch.path("latin"), Buffer.from('{"keys":[],"a":"\xe4"}', "latin1"))
  await writeFile(scratch.path("cut"), text.slice(0, 40))
  assert.equal(await reasonOf("missing"), "not-ready: bundle file cannot be read: ENOENT")
  for (const name of ["folder", "pipe", "device"]) {
    assert.equal(await reasonOf(name), "not-ready: bundle file is no regular file")
  }
  assert.equal(await reasonOf("full"), 7)
  assert.equal(await reasonOf("long"), "malformed: bundle file is longer than 1 MiB")
  assert.equal(await reasonOf("latin"), "malformed: bundle file is not UTF-8")
  assert.equal(await reasonOf("cut"), "malformed: not valid JSON")
})

test("[TD-26] a bundle with a certificate or a key that others cannot read is bad", async () => {
  await using scratch = await makeScratch()
  const bundleFile = scratch.path("bundle.json")
  const domain = { trustDomain: PARTNER, bundleFile }
  const read = makeReadBundleFile(systemClock)
  const key = { ...makeJwtKey().authority.jwk, use: "jwt-svid", kid: "k1" }
  const offCurve = { ...key, kid: "k2", x: Buffer.alloc(32, 1).toString("base64url") }
  await writeFile(bundleFile, JSON.stringify({ keys: [key, offCurve] }))
  await assert.rejects(read(domain), { code: "malformed", reason: "bundle-key" })
  // The tag of the set around an attribute of a name (an OID below 2.5.4), into which our reader does not look.
  const broken = Buffer.from(DER)
  broken[broken.indexOf("06035504", "hex") - 4] = 0x01
  const certificate = (der: Uint8Array) => ({ kty: "EC", use: "x509-svid", x5c: [Buffer.from(der).toString("base64")] })
  await writeFile(bundleFile, JSON.stringify({ keys: [certificate(DER), certificate(broken)] }))
  await assert.rejects(read(domain), { code: "malformed", reason: "bundle-certificate" })
  await writeFile(bundleFile, JSON.stringify({ keys: [certificate(DER), key] }))
  assert.equal((await read(domain)).x509Authorities.length, 1)
})

test("[TD-25] a file that says the same as before is the same bundle, and another one as soon as it says more", async () => {
  await using scratch = await makeScratch()
  const bundleFile = scratch.path("bundle.json")
  const read = makeReadBundleFile(systemClock)
  const long = `{"keys":[],"a":"${"x".repeat(200_000)}","spiffe_sequence":1}`
  await writeFile(bundleFile, long)
  const first = await read({ trustDomain: PARTNER, bundleFile })
  assert.equal(await read({ trustDomain: PARTNER, bundleFile }), first)
  assert.notEqual(await read({ trustDomain: OTHER, bundleFile }), first)
  await writeFile(bundleFile, long.replace('sequence":1', 'sequence":2'))
  assert.equal((await read({ trustDomain: PARTNER, bundleFile })).sequence, 2)
})

test("[TD-24] a file that hangs is bad after 5 s, is not read twice at a time, and is read anew when it ended", async () => {
  const clock = new FakeClock(1_800_000_000)
  const reads = [Promise.withResolvers<string>(), Promise.withResolvers<string>()]
  let begun = 0
  const read = makeReadBundleFile(clock, () => reads[begun++]?.promise ?? assert.fail("read once more"))
  const domain = { trustDomain: PARTNER, bundleFile: "/hanging" }
  for (let look = 0; look < 3; look++) {
    const looking = assert.rejects(read(domain), { code: "not-ready", message: /it hangs/ })
    await clock.advance(5)
    await looking
  }
  assert.equal(begun, 1)
  reads[0]?.resolve("{}")
  await new Promise((resolve) => setImmediate(resolve))
  reads[1]?.resolve('{"keys":[],"spiffe_sequence":3}')
  assert.deepEqual([(await read(domain)).sequence, begun], [3, 2])
})

test("[TD-25] a trust domain that leaves the configuration is not trusted at once, though the file of another hangs", async () => {
  const other = { trustDomain: OTHER, bundleFile: "/o" }
  const world = makeWorld({ trustDomain: PARTNER, bundleFile: "/p" }, other)
  const hanging = Promise.withResolvers<TrustBundle>()
  let hangs = false
  const clock = new FakeClock(1_800_000_000)
  const federation = await world.open(clock, ({ trustDomain }) =>
    hangs ? hanging.promise : Promise.resolve(fakeBundle(trustDomain)),
  )
  const stop = new AbortController()
  const running = federation.run(stop.signal)
  assert.deepEqual(world.names, ["partner.example 1", "other.example 1"])
  hangs = true
  world.domains = [other]
  world.adopted.fire()
  // No more than the pause between two looks, which is not the 5 s of the next one.
  await clock.advance(0.1)
  await until("the removal", () => world.names.length === 1, 5000)
  assert.deepEqual(world.names, ["other.example 1"])
  hanging.resolve(fakeBundle(OTHER, { sequence: 2 }))
  await until("the file", () => world.names[0] === "other.example 2", 5000)
  stop.abort()
  await running
})

test("[TD-25] a file that is replaced is in force at once, and so is a trust domain that the configuration gains", async () => {
  await using scratch = await makeScratch()
  const bundleFile = scratch.path("p.json")
  const write = (sequence: number) =>
    writeFile(bundleFile, encodeBundle(fakeBundle(PARTNER, { sequence, x509Authorities: [] })))
  await write(1)
  const world = makeWorld()
  // A clock on which the next look never comes by itself.
  const clock: Clock = {
    now: () => systemClock.now(),
    monotonic: () => systemClock.monotonic(),
    sleep: (millis, signal) => systemClock.sleep(millis < 1000 ? millis : 3_600_000, signal),
  }
  const federation = await world.open(clock)
  const stop = new AbortController()
  const running = federation.run(stop.signal)
  world.domains = [{ trustDomain: PARTNER, bundleFile }]
  world.adopted.fire()
  await until("the new trust domain", () => world.names[0] === "partner.example 1")
  for (const sequence of [2, 3]) {
    await write(sequence)
    await until("the new content", () => world.names[0] === `partner.example ${sequence}`)
  }
  stop.abort()
  await running
})
