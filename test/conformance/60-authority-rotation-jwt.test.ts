import assert from "node:assert/strict"
import { test } from "node:test"
import { setImmediate } from "node:timers/promises"
import { makeJwtKeys } from "../../src/app/authority/make-jwt-keys.ts"
import { thumbprint } from "../../src/core/jose/jwk.ts"
import { jwtRequest, NEVER, openIssueFixture } from "../support/issue-fixture.ts"
import { type Controlled, JWT_SCHEDULE, openControlled, SKEW } from "../support/rotation/controlled.ts"

/** Role of each key, oldest first. */
const states = ({ trust }: Controlled) => trust.record().jwtKeys.map(({ state }) => state)
const published = ({ trust }: Controlled) => trust.snapshot().own.jwtAuthorities.map(({ kid }) => kid)
const signs = ({ fixture }: Controlled, algorithm: "ES256" | "RS256" = "ES256") => fixture.jwtKeys.active(algorithm).kid

async function moveOn({ fixture, controller }: Controlled, seconds: number): Promise<void> {
  await fixture.clock.advance(seconds)
  await controller.drive()
}

function openJwt(
  options: Parameters<typeof openControlled>[1] = {},
  after?: Parameters<typeof openControlled>[2],
): Promise<Controlled> {
  return openControlled({ rows: [] }, { kind: "jwt", ...options }, after)
}

test("[JWKS-03][AUT-20] a key is announced, then signs, then stays for its last tokens, then is gone with its private half", async () => {
  const it = await openJwt()
  const { keyTtl, publishAhead } = JWT_SCHEDULE
  const first = signs(it)
  const { epoch } = it.trust.snapshot()
  assert.deepEqual(states(it), ["active"])
  await moveOn(it, keyTtl - publishAhead - 1)
  assert.deepEqual(states(it), ["active"])
  await moveOn(it, 1)
  assert.deepEqual(states(it), ["active", "published"])
  assert.equal(signs(it), first)
  assert.equal(published(it).length, 2)
  const { expiresAt } = await it.fixture.issueJwt(jwtRequest(), NEVER)
  await moveOn(it, publishAhead + SKEW)
  assert.ok(expiresAt < it.fixture.clock.now())
  assert.deepEqual(states(it), ["retired", "active"])
  const second = signs(it)
  assert.deepEqual(published(it), [first, second])
  await moveOn(it, SKEW)
  assert.deepEqual(published(it), [second])
  assert.equal(it.trust.snapshot().epoch, epoch + 2)
  assert.equal((await it.fixture.keys.list()).filter((id) => id.startsWith("jwt")).length, 1)
})

test("[AUT-20] a key that was announced late still waits until it was published long enough", async () => {
  const it = await openJwt()
  const first = signs(it)
  await moveOn(it, JWT_SCHEDULE.keyTtl + 1000)
  assert.deepEqual(states(it), ["active", "published"])
  await moveOn(it, JWT_SCHEDULE.publishAhead + SKEW - 1)
  assert.equal(signs(it), first)
  await moveOn(it, 1)
  assert.notEqual(signs(it), first)
})

test("[JWKS-05] at every moment each token that has not expired can be verified by the published keys", async () => {
  const it = await openJwt()
  const alive: { readonly kid: string; readonly exp: number }[] = []
  for (let moment = 0; moment < 400; moment++) {
    await moveOn(it, moment % 50 === 0 ? 7000 : 97)
    const { token, expiresAt } = await it.fixture.issueJwt(jwtRequest(), NEVER)
    const { kid } = JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString())
    alive.push({ kid, exp: expiresAt })
    const kids = new Set(published(it))
    const now = it.fixture.clock.now()
    assert.deepEqual(
      alive.filter((one) => one.exp + SKEW > now && !kids.has(one.kid)),
      [],
    )
    assert.equal(states(it).filter((state) => state === "active").length, 1)
  }
  assert.ok(new Set(alive.map(({ kid }) => kid)).size >= 2, "keys were rotated")
})

test("[JWKS-05] a key stays for as long as its longest token, whatever a restart makes of lives, and for one that was on its way", async () => {
  const it = await openJwt()
  const first = signs(it)
  const [, rule] = [it.fixture, it.fixture.rules.rules[0]]
  assert.ok(rule !== undefined)
  it.fixture.rules = { ...it.fixture.rules, rules: [{ ...rule, spec: { ...rule.spec, jwtTtl: 86_000 } }] }
  it.fixture.caller = { expiresAt: it.fixture.clock.now() + 10 * 86_400 }
  await moveOn(it, JWT_SCHEDULE.keyTtl - JWT_SCHEDULE.publishAhead)
  await it.fixture.clock.advance(JWT_SCHEDULE.publishAhead + SKEW)
  const { expiresAt } = await it.fixture.issueJwt(jwtRequest(), NEVER)
  const shorter = await openJwt({}, it.fixture)
  await moveOn(shorter, 11) // the lease of the one before
  assert.deepEqual(states(shorter), ["retired", "active"])
  await moveOn(shorter, expiresAt - it.fixture.clock.now() + SKEW - 1)
  assert.ok(published(shorter).includes(first))
  await moveOn(shorter, 1)
  assert.ok(!published(shorter).includes(first))
})

test("[JWKS-05] a token that was being signed when its key stopped is waited for, in the log or not", async () => {
  const it = await openJwt({ publishAhead: 0 })
  const first = signs(it)
  await moveOn(it, JWT_SCHEDULE.keyTtl)
  assert.equal(it.phase(), "draining", "no token is in the log")
  await moveOn(it, SKEW - 1)
  assert.ok(published(it).includes(first))
  await moveOn(it, 1)
  assert.ok(!published(it).includes(first))
})

test("[JWKS-08][JWKS-06] two algorithms are published at once, and rotate as one set without a gap", async () => {
  const it = await openJwt({ jwtAlgorithms: ["ES256", "RS256"] })
  const activeOf = () => it.trust.record().jwtKeys.filter(({ state }) => state === "active")
  const first = { ES256: signs(it), RS256: signs(it, "RS256") }
  for (let step = 0; step < 12; step++) {
    await moveOn(it, JWT_SCHEDULE.keyTtl / 8)
    assert.ok(published(it).length <= 4)
    const algorithms = activeOf().map(({ algorithm }) => algorithm)
    assert.deepEqual(algorithms.toSorted(), ["ES256", "RS256"])
    const { token } = await it.fixture.issueJwt(jwtRequest(), NEVER)
    assert.ok(token.length > 0)
  }
  for (const algorithm of ["ES256", "RS256"] as const) {
    const kid = signs(it, algorithm)
    assert.notEqual(kid, first[algorithm])
    assert.equal(it.trust.record().jwtKeys.find((key) => key.kid === kid)?.algorithm, algorithm)
  }
  await moveOn(it, SKEW)
  assert.equal((await it.fixture.keys.list()).filter((id) => id.startsWith("jwt")).length, 2)
})

test("[AUT-20] an algorithm that is added later is announced before it signs, and one that is dropped goes once another signs", async () => {
  const before = await openJwt()
  const added = await openJwt({ jwtAlgorithms: ["ES256", "RS256"] }, before.fixture)
  await moveOn(added, 1)
  assert.throws(() => signs(added, "RS256"), { code: "not-ready" })
  assert.equal(added.fixture.jwtKeys.rotating(), true)
  await moveOn(added, JWT_SCHEDULE.publishAhead + SKEW)
  assert.equal(added.fixture.jwtKeys.active("RS256").algorithm, "RS256")
  await moveOn(added, SKEW)
  assert.equal(added.phase(), "stable")
  const dropped = await openJwt({ jwtAlgorithms: ["RS256"], holder: "server-2" }, added.fixture)
  await moveOn(dropped, 11)
  assert.deepEqual(states(dropped), ["active", "active", "published"])
  await moveOn(dropped, JWT_SCHEDULE.publishAhead + SKEW)
  assert.equal(dropped.fixture.jwtKeys.activeForSvids().algorithm, "RS256")
  assert.throws(() => signs(dropped), { code: "not-ready" })
  await moveOn(dropped, SKEW)
  assert.equal(dropped.trust.record().jwtKeys.length, 1)
})

test("[JWKS-07] kid is the thumbprint of the key, in bundle and tokens", async () => {
  const { fixture } = await openJwt()
  const [authority] = fixture.trust.snapshot().own.jwtAuthorities
  assert.ok(authority !== undefined)
  assert.equal(authority.kid, thumbprint(authority.jwk))
  const { token } = await fixture.issueJwt(jwtRequest(), NEVER)
  const header = JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString())
  assert.deepEqual(header, { alg: "ES256", kid: authority.kid, typ: "JWT" })
})

for (const fault of ["lost", "kept"] as const) {
  test(`[AUT-21] a step whose write was ${fault} is taken by the next try, and one key is active throughout`, async () => {
    const it = await openJwt()
    const { fixture } = it
    let writes = 0
    for (let moment = 0; moment < 60; moment++) {
      fixture.store.onWrite = (kind) => (kind === "authority" && writes++ % 3 < 2 ? fault : "none")
      await moveOn(it, 3600).catch(() => undefined)
      fixture.store.onWrite = () => "none"
      assert.equal(states(it).filter((state) => state === "active").length, 1)
      assert.deepEqual((await fixture.store.authorityJournal.read())?.jwtKeys, it.trust.record().jwtKeys)
      await fixture.issueJwt(jwtRequest(), NEVER)
    }
    assert.ok(writes >= 6)
  })
}

test("[AUT-21][INV-21] a clock that jumped moves no key", async () => {
  const it = await openJwt()
  const { clock } = it.fixture
  const before = it.trust.record().jwtKeys
  const stop = new AbortController()
  const running = it.controller.run(stop.signal)
  await clock.untilSleeping(1)
  for (const jump of [10 * 86_400, -10 * 86_400]) {
    clock.jumpWall(jump)
    await clock.advance(60)
    await clock.untilSleeping(1)
    assert.deepEqual(it.trust.record().jwtKeys, before)
  }
  stop.abort()
  await running
})

test("[AUT-22] a key that signs stays open when the keys of an older record are opened late", async () => {
  const { trust, jwtKeys, keys, store, clock } = await openIssueFixture()
  const [begun, late] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const open = keys.open.bind(keys)
  keys.open = async (keyId) => {
    if (keyId.startsWith("planned")) {
      begun.resolve()
      await late.promise
    }
    return open(keyId)
  }
  const make = (stem: string) => makeJwtKeys({ keys, audit: store.auditLog, clock }, stem, ["ES256"], "r1")
  const planned = await make("planned")
  await trust.update((record) => ({ ...record, jwtKeys: [...record.jwtKeys, ...planned] }))
  const first = jwtKeys.follow()
  await begun.promise
  const fresh = (await make("fresh")).map((key) => ({ ...key, state: "active" as const }))
  await trust.update((record) => ({ ...record, jwtKeys: fresh }))
  const second = jwtKeys.follow()
  await Promise.race([second, setImmediate()])
  late.resolve()
  await Promise.all([first, second])
  assert.equal(jwtKeys.active("ES256").kid, fresh[0]?.kid)
})
