import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { test } from "node:test"
import { encodeAuthority, parseAuthority } from "../../src/adapters/sqlite/authority-json.ts"
import { liveCrossCertificates, MAX_CROSS_CERTIFICATES } from "../../src/core/authority/cross-certificates.ts"
import { verifyCrossCertificate } from "../../src/core/x509/path.ts"
import type { RootRecord } from "../../src/ports/authority-journal.ts"
import { boundActiveRoot } from "../support/bounded-root.ts"
import { NEVER, x509Request } from "../support/issue-fixture.ts"
import { ALICE, type Controlled, openControlled, WISH } from "../support/rotation/controlled.ts"
import { makeBundle } from "../support/test-ca.ts"

const WEEK = 7 * 86_400

test("[ROT-70] the old root vouches for the new one: verified, audited before it is recorded, and kept through the rotation", async () => {
  const it = await openControlled({ rows: [] })
  const { operate, controller, trust, fixture } = it
  const old = active(it)
  await operate.start({ ...WISH, auto: false }, ALICE)
  fixture.store.onWrite = (kind) => (kind === "authority" && crossings(it).length > 0 ? "lost" : "none")
  await assert.rejects(controller.drive(), { code: "not-ready" })
  fixture.store.onWrite = () => "none"
  const [audited] = crossings(it)
  assert.deepEqual([trust.record().roots, it.phase()], [[old], "planned"], "audited, and in no record")
  assert.equal(await controller.drive(), "keyed", "made once more, for the key that was made before")
  const [, next] = trust.record().roots
  assert.ok(next !== undefined && audited !== undefined)
  const [event] = crossings(it).slice(-1)
  const cross = new X509Certificate(next.crossCertificates[0] ?? "")
  assert.deepEqual([event?.issuer, event?.authority], [audited.issuer, audited.authority])
  assert.deepEqual([event?.serial, event?.actor], [cross.serialNumber.toLowerCase(), "server"])
  assert.equal(cross.subject, new X509Certificate(next.certificate).subject)
  assert.equal(cross.issuer, new X509Certificate(old.certificate).subject)
  assert.ok(cross.verify(new X509Certificate(old.certificate).publicKey))
  assert.equal(next.crossCertificates.length, 1)
  verifyCrossCertificate(cross.raw, makeBundle(trust.record().trustDomain, [old.certificate]), fixture.clock.now())
  await operate.resume(true, ALICE)
  assert.equal(await controller.drive(), "stable")
  assert.deepEqual(active(it).crossCertificates, next.crossCertificates)
  assert.deepEqual(parseAuthority(encodeAuthority(trust.record())), trust.record())
})

test("[ROT-70] what vouched for the old root vouches for the new one through it, nearest first, and 16 at most", async () => {
  const it = await openControlled({ rows: [] })
  const names = [nameOf(active(it))]
  for (let round = 1; round <= MAX_CROSS_CERTIFICATES + 2; round++) {
    await rotate(it)
    names.unshift(nameOf(active(it)))
    const pairs = active(it).crossCertificates.map((der) => new X509Certificate(der))
    assert.equal(pairs.length, Math.min(round, MAX_CROSS_CERTIFICATES))
    assert.deepEqual(
      pairs.map(({ subject, issuer }) => [subject, issuer]),
      pairs.map((_, index) => [names[index], names[index + 1]]),
    )
  }
})

test("[ROT-70] those that lead to an expired root fall off", async () => {
  const it = await openControlled({ rows: [] })
  for (let round = 0; round < 2; round++) {
    await it.fixture.clock.advance(WEEK / 2)
    await rotate(it)
  }
  const [near, far] = active(it).crossCertificates
  assert.ok(near !== undefined && far !== undefined)
  const end = Date.parse(new X509Certificate(far).validTo) / 1000
  assert.deepEqual(liveCrossCertificates([near, far], end - 1), [near, far])
  assert.deepEqual(liveCrossCertificates([near, far], end), [near])
  assert.deepEqual(liveCrossCertificates([far, near], end), [], "nothing leads on beyond one that expired")
  await it.fixture.clock.advance(end - it.fixture.clock.now())
  await rotate(it)
  assert.deepEqual(active(it).crossCertificates.slice(1), [near])
})

test("[ROT-70] an abort leaves nothing of it, and a rollback lets both be what they were", async () => {
  const it = await openControlled({ rows: [] })
  await rotate(it)
  const before = active(it)
  for (const goBack of ["abort", "rollback"] as const) {
    await it.operate.start({ ...WISH, auto: false }, ALICE)
    await it.controller.drive()
    for (const _ of goBack === "abort" ? ["publishing"] : ["publishing", "active"]) {
      await it.operate.advance(ALICE)
      await it.controller.drive()
    }
    if (goBack === "rollback") {
      await it.operate.rollback(ALICE)
      await it.controller.drive()
      assert.deepEqual(active(it).crossCertificates, before.crossCertificates)
    }
    await it.operate.abort(undefined, ALICE)
    await it.controller.drive()
    assert.deepEqual(it.trust.record().roots, [before])
  }
})

test("[ROT-70] records from before roots vouched for each other have nobody vouching", async () => {
  const { trust } = await openControlled({ rows: [] })
  const text = encodeAuthority(trust.record()).replace(',"crossCertificates":[]', "")
  assert.ok(!text.includes("crossCertificates"))
  assert.deepEqual(parseAuthority(text), trust.record())
})

test("[ROT-72] neither bundles nor chains of workloads have cross-certificates", async () => {
  const it = await openControlled({ rows: [] })
  for (let round = 0; round < 2; round++) await rotate(it)
  assert.deepEqual(it.trust.snapshot().own.x509Authorities, [active(it).certificate])
  const { chain } = await it.fixture.issueX509(x509Request(), NEVER)
  assert.equal(chain.length, 2)
})

test("[ROT-73] from the step that declares an emergency on, nobody vouches for the root that takes over, whatever stood before", async () => {
  for (const phase of ["stable", "publishing", "published", "draining"] as const) {
    const it = await openControlled({ rows: [] })
    await rotate(it)
    await it.fixture.issueX509(x509Request(), NEVER) // so that it takes time to drain
    if (phase !== "stable") await driveTo(it, phase)
    const seen: number[] = []
    const before = crossings(it).length
    const update = it.trust.update.bind(it.trust)
    it.deps.trust.update = async (change) => {
      const record = await update(change)
      const { x509 } = record.rotations
      if (x509.phase === "retiring") seen.push(...record.roots.map(({ crossCertificates }) => crossCertificates.length))
      return record
    }
    await it.operate.emergency({ by: "alice", reason: "stolen", consumers: "all" }, ALICE)
    assert.equal(crossings(it).length, before, "the stolen root signs nothing for the fresh one")
    assert.ok(seen.length > 0 && seen.every((count) => count === 0), `${phase}: ${seen.join()}`)
    await it.controller.drive()
    await driveTo(it, "stable")
    assert.deepEqual([it.phase(), active(it).crossCertificates], ["stable", []])
    await rotate(it)
    assert.equal(active(it).crossCertificates.length, 1, "the next planned one begins anew")
  }
})

test("[ROT-74] a root with a bound vouches for nobody, and its rotation goes to its end without", async () => {
  const it = await openControlled({ rows: [] })
  await boundActiveRoot(it.trust, it.fixture.keys)
  await it.issuing.rotate()
  assert.equal((await it.describe.plan()).needsRestarts, true)
  await rotate(it)
  assert.deepEqual([active(it).crossCertificates, crossings(it)], [[], []])
  assert.equal((await it.describe.plan()).needsRestarts, false)
  await rotate(it)
  assert.equal(active(it).crossCertificates.length, 1)
})

async function rotate({ operate, controller }: Controlled): Promise<void> {
  await operate.start(WISH, ALICE)
  assert.equal(await controller.drive(), "stable")
}

async function driveTo(it: Controlled, phase: string): Promise<void> {
  if (it.phase() === "stable") await it.operate.start({ ...WISH, auto: false }, ALICE)
  await it.controller.drive()
  for (let step = 0; it.phase() !== phase && step < 10; step++) {
    await it.operate.advance(ALICE)
    if (it.phase() !== phase) await it.controller.drive()
  }
  assert.equal(it.phase(), phase)
}

function active({ trust }: Controlled): RootRecord {
  const root = trust.record().roots.find(({ state }) => state === "active")
  assert.ok(root !== undefined)
  return root
}

function nameOf({ certificate }: RootRecord): string {
  return new X509Certificate(certificate).subject
}

function crossings({ fixture }: Controlled) {
  return fixture.store.events.filter((event) => event.type === "authority.crossed")
}
