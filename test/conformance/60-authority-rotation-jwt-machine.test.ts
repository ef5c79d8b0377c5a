import assert from "node:assert/strict"
import { test } from "node:test"
import { jwtEvidence } from "../../src/app/rotate/jwt-evidence.ts"
import type { ConsumerRow } from "../../src/core/authority/evidence.ts"
import type { JwtKeyRecord } from "../../src/ports/authority-journal.ts"
import { jwtRequest, NEVER, openIssueFixture, x509Request } from "../support/issue-fixture.ts"
import { refusal } from "../support/refusal.ts"
import { ALICE, JWT_SCHEDULE, openControlled, SKEW, WISH } from "../support/rotation/controlled.ts"
import { consumer, replica } from "../support/rotation/rows.ts"

const FOREVER = 4_000_000_000
const BY_HAND = { ...WISH, auto: false }

test("[ROT-60] roots and JWT keys rotate at the same time, and neither waits for the other", async () => {
  const rows = [consumer("web", { notAfter: FOREVER, epoch: 0 })]
  const jwt = await openControlled({ rows: [] }, { kind: "jwt", publishAhead: 0 })
  const root = await openControlled({ rows }, {}, jwt.fixture)
  await root.operate.start(WISH, ALICE)
  assert.equal(await root.controller.drive(), "publishing")
  const { requiredEpoch } = root.trust.record()
  await jwt.operate.start(WISH, ALICE)
  assert.equal(await jwt.controller.drive(), "draining")
  await jwt.fixture.clock.advance(SKEW)
  assert.equal(await jwt.controller.drive(), "stable")
  const { rotations, roots, jwtKeys } = jwt.trust.record()
  assert.deepEqual([rotations.x509.phase, roots.length, jwtKeys.length], ["publishing", 2, 1])
  assert.equal(
    jwt.trust.record().requiredEpoch,
    requiredEpoch,
    "no certificate waits for a bundle because of a JWT key",
  )
  rows.length = 0
  await root.fixture.clock.advance(11)
  assert.equal(await root.controller.drive(), "stable")
})

for (const fault of ["lost", "kept"] as const) {
  test(`[ROT-35][AUT-21] a new process goes on where a ${fault} write ended the one before, with one set of keys in the end`, async () => {
    for (let write = 1; write <= 9; write++) {
      const jwtAlgorithms = ["ES256", "RS256"] as const
      const first = await openControlled({ rows: [] }, { kind: "jwt", publishAhead: 0, jwtAlgorithms })
      const { store, keys, clock } = first.fixture
      await first.operate.start(WISH, ALICE)
      let writes = 0
      store.onWrite = (kind) => (kind === "authority" && ++writes === write ? fault : "none")
      await first.controller.drive().catch(() => undefined)
      store.onWrite = () => "none"
      const options = { kind: "jwt", holder: "server-2", publishAhead: 0, jwtAlgorithms } as const
      const second = await openControlled({ rows: [] }, options, first.fixture)
      await clock.advance(SKEW) // longer than the lease of the one before
      await second.controller.drive()
      await clock.advance(SKEW)
      assert.equal(await second.controller.drive(), "stable", `after write ${write}`)
      const record = second.trust.record().jwtKeys
      assert.deepEqual(
        record.map(({ state }) => state),
        ["active", "active"],
      )
      const left = (await keys.list()).filter((name) => name.startsWith("jwt"))
      assert.deepEqual(left.toSorted(), record.map(({ keyId }) => keyId).toSorted(), `after write ${write}`)
    }
  })
}

test("[ROT-61][ROT-33] new keys sign only once all who verify have the bundle and unseen readers had their time; proxies are not asked", async () => {
  const rows: ConsumerRow[] = [
    consumer("proxy", { notAfter: FOREVER, epoch: 0 }),
    consumer("agent", { notAfter: FOREVER, epoch: 0, kind: "agent", grade: "subscription-ack" }),
    consumer("client", { notAfter: FOREVER, epoch: 0, kind: "workload-api", grade: "quoted-epoch" }),
  ]
  const it = await openControlled({ rows }, { kind: "jwt" })
  await it.operate.start(WISH, ALICE)
  assert.equal(await it.controller.drive(), "publishing")
  await it.fixture.clock.advance(JWT_SCHEDULE.publishAhead + SKEW)
  await it.controller.drive()
  const late = async () => {
    const outcome = await it.operate.advance(ALICE)
    return outcome.kind === "refused" ? outcome.late.map(({ id }) => id) : []
  }
  assert.deepEqual(await late(), ["agent", "client"])
  const { epoch } = it.trust.snapshot()
  rows.splice(1, 1, consumer("agent", { notAfter: FOREVER, epoch, kind: "agent", grade: "subscription-ack" }))
  assert.deepEqual(await late(), ["client"])
  assert.equal(it.phase(), "publishing")
  rows.splice(2, 1, consumer("client", { notAfter: FOREVER, epoch, kind: "workload-api", grade: "quoted-epoch" }))
  assert.equal(await it.controller.drive(), "draining")
})

test("[ROT-62] a refusal stops what began by schedule, the old key signs on, and an operator lets it go on", async () => {
  const rows: ConsumerRow[] = []
  const it = await openControlled({ rows }, { kind: "jwt" })
  const first = it.fixture.jwtKeys.active("ES256").kid
  await it.fixture.clock.advance(JWT_SCHEDULE.keyTtl - JWT_SCHEDULE.publishAhead)
  assert.equal(await it.controller.drive(), "publishing")
  const file = { kind: "file", grade: "subscription-ack", notAfter: FOREVER } as const
  rows.push(consumer("web", { ...file, nackReason: "no such curve" }))
  await it.controller.drive()
  const stopped = it.trust.record().rotations.jwt
  assert.ok(stopped.phase === "publishing" && stopped.stopped?.includes("no such curve"))
  rows.length = 0
  await it.fixture.clock.advance(JWT_SCHEDULE.publishAhead + SKEW)
  assert.equal(await it.controller.drive(), "published", "the next step needs somebody's decision")
  assert.equal(it.fixture.jwtKeys.active("ES256").kid, first)
  await it.operate.resume(true, ALICE)
  assert.equal(await it.controller.drive(), "draining")
})

test("[ROT-62][ROT-06][ROT-07] an operator's rotation goes by hand: it is rolled back to the old key, and given up without a trace", async () => {
  const it = await openControlled({ rows: [] }, { kind: "jwt", publishAhead: 0 })
  const first = it.fixture.jwtKeys.active("ES256").kid
  await it.operate.start(BY_HAND, ALICE)
  assert.equal(await it.controller.drive(), "keyed")
  for (const phase of ["published", "draining"]) {
    await it.operate.advance(ALICE)
    assert.equal(await it.controller.drive(), phase)
  }
  assert.notEqual(it.fixture.jwtKeys.active("ES256").kid, first)
  const { expiresAt } = await it.fixture.issueJwt(jwtRequest(), NEVER)
  await it.operate.rollback(ALICE)
  await it.controller.drive()
  assert.equal(it.fixture.jwtKeys.active("ES256").kid, first)
  const early = await it.operate.abort(undefined, ALICE)
  assert.ok(early.kind === "refused" && early.late[0]?.reason === "unexpired")
  await it.fixture.clock.advance(expiresAt - it.fixture.clock.now() + SKEW)
  await it.operate.abort(undefined, ALICE)
  assert.equal(await it.controller.drive(), "stable")
  assert.deepEqual(
    it.trust.record().jwtKeys.map(({ kid, state }) => [kid, state]),
    [[first, "active"]],
  )
  assert.equal((await it.fixture.keys.list()).filter((id) => id.startsWith("jwt")).length, 1)
})

for (const kind of ["x509", "jwt"] as const) {
  test(`[ROT-48] ${kind}: what a stolen new authority signed is not waited for when a waiver says so, and it is gone at once`, async () => {
    const it = await openControlled({ rows: [] }, { kind, publishAhead: 0 })
    const known = () => {
      const { roots, jwtKeys } = it.trust.record()
      return kind === "x509" ? roots.map(({ keyId }) => keyId) : jwtKeys.map(({ kid }) => kid)
    }
    const first = known()
    await it.operate.start(BY_HAND, ALICE)
    await it.controller.drive()
    for (const _ of ["published", "draining"]) {
      await it.operate.advance(ALICE)
      await it.controller.drive()
    }
    if (kind === "jwt") await it.fixture.issueJwt(jwtRequest(), NEVER)
    else await it.fixture.issueX509(x509Request(), NEVER)
    await it.operate.rollback(ALICE)
    await it.controller.drive()
    assert.equal((await it.operate.abort(undefined, ALICE)).kind, "refused")
    const waiver = { by: "alice", reason: "the new key is stolen", consumers: "all" } as const
    assert.equal((await it.operate.abort(waiver, ALICE)).kind, "moved")
    assert.equal(await it.controller.drive(), "stable")
    assert.deepEqual(known(), first)
    const recorded = it.fixture.store.events.findLast(
      (event) => event.type === "rotation.changed" && event.waivedCount > 0,
    )
    assert.ok(recorded?.type === "rotation.changed")
    assert.deepEqual([recorded.change, recorded.reason.includes("stolen")], ["abort", true])
  })
}

test("[ROT-37] an abort before the keys are made leaves none behind, also not one that a crash left", async () => {
  const it = await openControlled({ rows: [] }, { kind: "jwt", jwtAlgorithms: ["ES256", "RS256"] })
  await it.operate.start(BY_HAND, ALICE)
  it.fixture.store.onWrite = (kind) => (kind === "audit" ? "lost" : "none")
  await assert.rejects(it.controller.drive())
  it.fixture.store.onWrite = () => "none"
  assert.equal((await it.fixture.keys.list()).filter((id) => id.startsWith("jwt")).length, 3)
  await it.operate.abort(undefined, ALICE)
  assert.equal((await it.fixture.keys.list()).filter((id) => id.startsWith("jwt")).length, 2)
})

test("[ROT-63] in an emergency the stolen key signs nothing and is in no bundle from the moment of the decision", async () => {
  const rows = [consumer("web", { notAfter: FOREVER, kind: "agent", grade: "subscription-ack" })]
  const it = await openControlled({ rows }, { kind: "jwt", jwtAlgorithms: ["ES256", "RS256"] })
  const stolen = it.trust.record().jwtKeys.map(({ kid }) => kid)
  const request = { by: "alice", reason: "key stolen", consumers: [] }
  const incomplete = await it.operate.emergency(request, ALICE)
  assert.ok(incomplete.kind === "refused" && incomplete.reason === "waiver-incomplete")
  assert.deepEqual(
    incomplete.late.map(({ id }) => id),
    ["web"],
  )
  const outcome = await it.operate.emergency({ ...request, consumers: "all" }, ALICE)
  assert.equal(outcome.kind, "moved")
  const published = it.trust.snapshot().own.jwtAuthorities.map(({ kid }) => kid)
  assert.equal(published.length, 2)
  for (const algorithm of ["ES256", "RS256"] as const) {
    const { kid } = it.fixture.jwtKeys.active(algorithm)
    assert.ok(published.includes(kid) && !stolen.includes(kid))
  }
  const { token } = await it.fixture.issueJwt(jwtRequest(), NEVER)
  assert.ok(!stolen.some((kid) => token.startsWith(Buffer.from(`{"alg":"ES256","kid":"${kid}`).toString("base64url"))))
  const { epoch } = it.trust.snapshot()
  rows.splice(0, 1, consumer("web", { notAfter: FOREVER, kind: "agent", grade: "subscription-ack", epoch }))
  assert.equal(await it.controller.drive(), "retired")
  await it.operate.advance(ALICE)
  assert.equal(it.phase(), "stable")
  assert.equal((await it.fixture.keys.list()).filter((id) => id.startsWith("jwt")).length, 2)
})

test("[ROT-64] keys of a version that rotated by time are taken over: announced ones go, retired ones stay for their tokens", async () => {
  const fixture = await openIssueFixture()
  const [active] = fixture.trust.record().jwtKeys
  assert.ok(active !== undefined)
  const earlier = async (keyId: string, state: JwtKeyRecord["state"]) => {
    const signer = await fixture.keys.create(keyId, "ec-p256")
    return { ...active, keyId, kid: `kid-of-${keyId}`, state, jwk: { ...active.jwk, x: keyId }, signer }
  }
  const [{ signer: _old, ...retired }, { signer: _next, ...next }] = await Promise.all([
    earlier("jwt-old", "retired"),
    earlier("jwt-next", "published"),
  ])
  await fixture.trust.update((record) => ({ ...record, jwtKeys: [retired, active, next] }))
  const it = await openControlled({ rows: [] }, { kind: "jwt" }, fixture)
  assert.equal(it.phase(), "draining")
  assert.deepEqual(
    it.trust.record().jwtKeys.map(({ kid, state }) => [kid, state]),
    [
      [retired.kid, "retired"],
      [active.kid, "active"],
    ],
  )
  assert.ok(it.trust.snapshot().epoch > fixture.trust.record().epoch)
  await it.fixture.clock.advance(SKEW)
  assert.equal(await it.controller.drive(), "stable")
  assert.deepEqual(
    (await it.fixture.keys.list()).filter((id) => id.startsWith("jwt")),
    [active.keyId],
  )
})

test("[ROT-65] refuses canaries for JWT keys", async () => {
  const it = await openControlled({ rows: [] }, { kind: "jwt" })
  const canary = { namespaces: ["shop"], prefixes: [] }
  await assert.rejects(it.operate.start({ auto: true, canary }, ALICE), refusal("unsupported"))
  assert.equal(it.phase(), "stable")
})

test("[EVD-15] says of sets what is known of their keys, and counts when one stopped like the end of a token", async () => {
  const { fixture } = await openControlled({ rows: [] }, { kind: "jwt", jwtAlgorithms: ["ES256", "RS256"] })
  const record = fixture.trust.record()
  const [one, two] = record.jwtKeys
  assert.ok(one !== undefined && two !== undefined)
  const name = [one.kid, two.kid].toSorted().join("+")
  const rows = [consumer("proxy"), consumer("file", { kind: "file", issuers: ["root"] })]
  const known = { consumers: rows, replicas: [replica({ signsWith: "root" })], lastExpiry: new Map([[one.kid, 700]]) }
  const found = jwtEvidence(known, record, name)
  assert.deepEqual([...found.lastExpiry], [[name, 700]])
  assert.deepEqual(
    found.consumers.map(({ id, issuers }) => [id, issuers]),
    [["file", []]],
  )
  assert.equal(found.replicas[0]?.signsWith, name)
  const stopped = { ...record, jwtKeys: [one, { ...two, signedUntil: 900 }] }
  assert.deepEqual([...jwtEvidence(known, stopped, name).lastExpiry.values()], [900])
  assert.deepEqual([...jwtEvidence({ ...known, lastExpiry: new Map() }, record, name).lastExpiry], [])
})
