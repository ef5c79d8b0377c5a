import assert from "node:assert/strict"
import { test } from "node:test"
import { thumbprint } from "../../src/core/jose/jwk.ts"
import { jwtRequest, NEVER, openIssueFixture, SCHEDULE } from "../support/issue-fixture.ts"

type Fixture = Awaited<ReturnType<typeof openIssueFixture>>

/** `state` of each key, oldest first. */
const states = ({ trust }: Fixture) => trust.record().jwtKeys.map(({ state }) => state)
const published = ({ trust }: Fixture) => trust.snapshot().own.jwtAuthorities.map(({ kid }) => kid)

async function moveOn(fixture: Fixture, seconds: number): Promise<void> {
  await fixture.clock.advance(seconds)
  await fixture.jwtKeys.advance()
}

test("[JWKS-03][AUT-20] a key is announced, then signs, then stays for its last tokens, then is gone with its private half", async () => {
  const fixture = await openIssueFixture()
  const { keyTtl, publishAhead, retiredGrace } = SCHEDULE
  const first = fixture.jwtKeys.active("ES256").kid
  const { epoch } = fixture.trust.snapshot()
  assert.deepEqual(states(fixture), ["active"])
  await moveOn(fixture, keyTtl - publishAhead - 1)
  assert.deepEqual(states(fixture), ["active"])
  await moveOn(fixture, 1)
  assert.deepEqual(states(fixture), ["active", "next"])
  assert.equal(fixture.jwtKeys.active("ES256").kid, first)
  assert.equal(published(fixture).length, 2)
  await moveOn(fixture, publishAhead)
  assert.deepEqual(states(fixture), ["retired", "active"])
  const second = fixture.jwtKeys.active("ES256").kid
  assert.deepEqual(published(fixture), [first, second])
  await moveOn(fixture, retiredGrace)
  assert.deepEqual(published(fixture), [second])
  assert.equal(fixture.trust.snapshot().epoch, epoch + 3)
  assert.equal((await fixture.keys.list()).filter((id) => id.startsWith("jwt")).length, 1)
})

test("[AUT-20] a key that was announced late still waits until it was published long enough", async () => {
  const fixture = await openIssueFixture()
  const first = fixture.jwtKeys.active("ES256").kid
  await moveOn(fixture, SCHEDULE.keyTtl + 1000)
  assert.deepEqual(states(fixture), ["active", "next"])
  await moveOn(fixture, SCHEDULE.publishAhead - 1)
  assert.equal(fixture.jwtKeys.active("ES256").kid, first)
  await moveOn(fixture, 1)
  assert.notEqual(fixture.jwtKeys.active("ES256").kid, first)
})

test("[JWKS-05] at every moment each token that has not expired can be verified by the published keys", async () => {
  const fixture = await openIssueFixture()
  const alive: { readonly kid: string; readonly exp: number }[] = []
  const skew = SCHEDULE.retiredGrace - 300
  for (let moment = 0; moment < 400; moment++) {
    await moveOn(fixture, moment % 50 === 0 ? 7000 : 97)
    const { token, expiresAt } = await fixture.issueJwt(jwtRequest(), NEVER)
    const { kid } = JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString())
    alive.push({ kid, exp: expiresAt })
    const kids = new Set(published(fixture))
    const now = fixture.clock.now()
    assert.deepEqual(
      alive.filter((one) => one.exp + skew > now && !kids.has(one.kid)),
      [],
    )
    assert.equal(states(fixture).filter((state) => state === "active").length, 1)
  }
  assert.ok(new Set(alive.map(({ kid }) => kid)).size >= 2, "keys were rotated")
})

test("[JWKS-05] tokens that are out stay good when a restart makes lives shorter, and longer ones are waited for as well", async () => {
  const day = { ...SCHEDULE, retiredGrace: 86_460 }
  const generous = await openIssueFixture({ schedule: day })
  const { kid } = generous.jwtKeys.active("ES256")
  const shorter = await openIssueFixture({ after: generous, schedule: SCHEDULE })
  await moveOn(shorter, SCHEDULE.keyTtl - SCHEDULE.publishAhead)
  await moveOn(shorter, SCHEDULE.publishAhead)
  assert.deepEqual(states(shorter), ["retired", "active"])
  const again = await openIssueFixture({ after: shorter, schedule: SCHEDULE })
  await moveOn(again, day.retiredGrace - 1)
  assert.ok(published(again).includes(kid))
  await moveOn(again, 1)
  assert.ok(!published(again).includes(kid))
  const second = again.jwtKeys.active("ES256").kid
  const longer = await openIssueFixture({ after: again, schedule: day })
  const last = await openIssueFixture({ after: longer, schedule: SCHEDULE })
  const grace = last.trust.record().jwtKeys.find((key) => key.kid === second)?.grace
  assert.equal(grace, day.retiredGrace)
})

test("[JWKS-08][JWKS-06] two algorithms are published at once, and each rotates by itself without a gap", async () => {
  const fixture = await openIssueFixture({ jwtAlgorithms: ["ES256", "RS256"] })
  const activeOf = () => fixture.trust.record().jwtKeys.filter(({ state }) => state === "active")
  assert.deepEqual(
    activeOf().map(({ algorithm }) => algorithm),
    ["ES256", "RS256"],
  )
  const first = { ES256: fixture.jwtKeys.active("ES256").kid, RS256: fixture.jwtKeys.active("RS256").kid }
  for (let step = 0; step < 12; step++) {
    await moveOn(fixture, SCHEDULE.keyTtl / 8)
    assert.ok(published(fixture).length <= 6)
    assert.deepEqual(
      activeOf()
        .map(({ algorithm }) => algorithm)
        .toSorted(),
      ["ES256", "RS256"],
    )
  }
  for (const algorithm of ["ES256", "RS256"] as const) {
    const key = fixture.jwtKeys.active(algorithm)
    assert.notEqual(key.kid, first[algorithm])
    assert.equal(fixture.trust.record().jwtKeys.find(({ kid }) => kid === key.kid)?.algorithm, algorithm)
  }
})

test("[AUT-20] an algorithm that is added later is announced before it signs, and one that is dropped goes once another signs", async () => {
  const before = await openIssueFixture()
  const added = await openIssueFixture({ after: before, jwtAlgorithms: ["ES256", "RS256"] })
  await assert.rejects(async () => added.jwtKeys.active("RS256"))
  assert.equal(added.jwtKeys.rotating(), true)
  await moveOn(added, SCHEDULE.publishAhead)
  assert.equal(added.jwtKeys.active("RS256").algorithm, "RS256")
  const dropped = await openIssueFixture({ after: before, jwtAlgorithms: ["RS256"] })
  await dropped.clock.advance(SCHEDULE.publishAhead)
  assert.equal(dropped.jwtKeys.activeForSvids().algorithm, "RS256")
  await moveOn(dropped, SCHEDULE.keyTtl)
  const kept = dropped.trust.record().jwtKeys.filter(({ state }) => state === "active")
  assert.deepEqual(
    kept.map(({ algorithm }) => algorithm),
    ["RS256"],
  )
  await assert.rejects(async () => dropped.jwtKeys.active("ES256"))
})

test("[JWKS-07] kid is the thumbprint of the key, in bundle and tokens", async () => {
  const fixture = await openIssueFixture()
  const [authority] = fixture.trust.snapshot().own.jwtAuthorities
  assert.ok(authority !== undefined)
  assert.equal(authority.kid, thumbprint(authority.jwk))
  const { token } = await fixture.issueJwt(jwtRequest(), NEVER)
  const header = JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString())
  assert.deepEqual(header, { alg: "ES256", kid: authority.kid, typ: "JWT" })
})

for (const fault of ["lost", "kept"] as const) {
  test(`[AUT-21] a step whose write was ${fault} is taken by the next try, and one key is active throughout`, async () => {
    const fixture = await openIssueFixture()
    let writes = 0
    for (let moment = 0; moment < 60; moment++) {
      fixture.store.onWrite = (kind) => (kind === "authority" && writes++ % 3 < 2 ? fault : "none")
      await moveOn(fixture, 3600).catch(() => undefined)
      fixture.store.onWrite = () => "none"
      assert.equal(states(fixture).filter((state) => state === "active").length, 1)
      assert.deepEqual((await fixture.store.authorityJournal.read())?.jwtKeys, fixture.trust.record().jwtKeys)
      await fixture.issueJwt(jwtRequest(), NEVER)
    }
    assert.ok(writes >= 6)
  })
}

test("[AUT-21][INV-21] a clock that jumped moves no key", async () => {
  const fixture = await openIssueFixture()
  const before = fixture.trust.record().jwtKeys
  const stop = new AbortController()
  const running = fixture.jwtKeys.run(stop.signal)
  await fixture.clock.untilSleeping(1)
  fixture.clock.jumpWall(10 * 86_400)
  await fixture.clock.advance(60)
  await fixture.clock.untilSleeping(1)
  assert.deepEqual(fixture.trust.record().jwtKeys, before)
  fixture.clock.jumpWall(-10 * 86_400)
  await fixture.clock.advance(60)
  await fixture.clock.untilSleeping(1)
  assert.deepEqual(fixture.trust.record().jwtKeys, before)
  stop.abort()
  await running
})
