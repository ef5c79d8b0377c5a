import { deepEqual, equal, notEqual } from "node:assert/strict"
import { test } from "node:test"
import { IdentityError } from "../../src/core/errors.ts"
import { makeAttestFixture, NEVER, refusalOf } from "../support/attest-fixture.ts"

test("[ATT-13] a token is verified and reviewed once in 60 s, then again", async () => {
  const fixture = makeAttestFixture()
  const { attest, clock, reviewer, events } = fixture
  const token = fixture.token()
  const first = await attest(token, NEVER)
  await clock.advance(59)
  equal(await attest(token, NEVER), first)
  equal(fixture.verified, 1)
  await clock.advance(1)
  notEqual(await attest(token, NEVER), first)
  deepEqual([fixture.verified, reviewer.asked.length], [2, 2])
  deepEqual(events, ["review east answered", "checked", "remembered", "review east answered", "checked"])
})

test("[ATT-13] the 60 s begin before the cluster is asked, however long it takes to answer", async () => {
  const fixture = makeAttestFixture()
  const { attest, clock, reviewer } = fixture
  const token = fixture.token()
  const open = Promise.withResolvers<void>()
  reviewer.answer = (honest) => open.promise.then(() => honest)
  const attested = attest(token, NEVER)
  await clock.untilSleeping(2)
  await clock.advance(4)
  open.resolve()
  await attested
  await clock.advance(56)
  await attest(token, NEVER)
  equal(reviewer.asked.length, 2)
})

test("[ATT-13] a refusal by the cluster is remembered for 5 s", async () => {
  const { attest, clock, cluster, pod, reviewer, token } = makeAttestFixture()
  cluster.deletePod(pod.uid)
  const text = token()
  for (const _ of [1, 2, 3]) equal(await refusalOf(attest(text, NEVER)), "pod-deleted attestation-denied")
  equal(reviewer.asked.length, 1)
  await clock.advance(5)
  await refusalOf(attest(text, NEVER))
  equal(reviewer.asked.length, 2)
})

test("[ATT-13] a degraded pass is remembered for 5 s, so that recovery is noticed", async () => {
  const fixture = makeAttestFixture()
  const { attest, clock, pod, reviewer } = fixture
  fixture.clusters = fixture.clusters.map((c) => ({ ...c, review: { mode: "always", reviewer, degradedFor: 60 } }))
  fixture.livePods = new Set([pod.uid])
  reviewer.answer = () => {
    throw new IdentityError("attestor-down", "the cluster did not answer")
  }
  const token = fixture.token()
  equal((await attest(token, NEVER)).claims.degraded, true)
  reviewer.answer = (honest) => honest
  equal((await attest(token, NEVER)).claims.degraded, true)
  await clock.advance(5)
  equal((await attest(token, NEVER)).claims.degraded, false)
})

test("[ATT-13] a bad token and an outage are not remembered", async () => {
  const fixture = makeAttestFixture()
  const { attest, reviewer } = fixture
  const expired = fixture.token({ exp: 1 })
  await refusalOf(attest(expired, NEVER))
  await refusalOf(attest(expired, NEVER))
  equal(fixture.verified, 2)
  reviewer.answer = () => {
    throw new IdentityError("attestor-down", "the cluster did not answer")
  }
  const token = fixture.token()
  equal(await refusalOf(attest(token, NEVER)), "review-unavailable attestor-down")
  reviewer.answer = (honest) => honest
  await attest(token, NEVER)
})

test("[ATT-14] new clusters are asked about every token again, also when they come while a token is being checked", async () => {
  const fixture = makeAttestFixture()
  const { attest, reviewer, clock } = fixture
  const token = fixture.token()
  await attest(token, NEVER)
  fixture.clusters = [...fixture.clusters]
  const open = Promise.withResolvers<void>()
  reviewer.answer = (honest) => open.promise.then(() => honest)
  const early = attest(token, NEVER)
  await clock.untilSleeping(2)
  fixture.clusters = []
  equal(await refusalOf(attest(token, NEVER)), "issuer-unknown unauthenticated")
  open.resolve()
  await early
  equal(await refusalOf(attest(token, NEVER)), "issuer-unknown unauthenticated")
})

test("[ATT-14] what is remembered of a token keeps no other memory than its own", async () => {
  const { attest, token } = makeAttestFixture({ review: { mode: "off" } })
  for (let i = 0; i < 10; i++) {
    const { evidenceDigest } = (await attest(token({ jti: `t${i}` }), NEVER)).claims
    equal(evidenceDigest.buffer.byteLength, evidenceDigest.length)
  }
})

test("[ATT-14] the 16,385th token drops the least recently used one, not the one in use", async () => {
  const fixture = makeAttestFixture({
    review: { mode: "off" },
    keys: { verify: async () => void fixture.events.push("verified") },
  })
  const { attest, events, token } = fixture
  const [inUse, idle] = [token({ jti: "in-use" }), token({ jti: "idle" })]
  await attest(idle, NEVER)
  await attest(inUse, NEVER)
  const [header, , signature] = inUse.split(".")
  const payload: object = JSON.parse(Buffer.from(inUse.split(".")[1] ?? "", "base64url").toString())
  for (let i = 0; i < 16_383; i++) {
    const claims = Buffer.from(JSON.stringify({ ...payload, jti: `t${i}` })).toString("base64url")
    await attest(`${header}.${claims}.${signature}`, NEVER)
    if (i % 4096 === 0) await attest(inUse, NEVER)
  }
  events.length = 0
  await attest(inUse, NEVER)
  await attest(idle, NEVER)
  deepEqual(events, ["remembered", "verified", "checked"])
})

test("[ATT-12] callers of one token share one check, and one that gives up does not end it for the others", async () => {
  const fixture = makeAttestFixture()
  const { attest, reviewer, clock } = fixture
  const token = fixture.token()
  const open = Promise.withResolvers<void>()
  reviewer.answer = (honest) => open.promise.then(() => honest)
  const hasty = new AbortController()
  const first = refusalOf(attest(token, hasty.signal))
  const others = [attest(token, NEVER), attest(token, NEVER)]
  await clock.untilSleeping(2)
  hasty.abort()
  equal(await first, "undefined cancelled")
  open.resolve()
  const [second, third] = await Promise.all(others)
  equal(second, third)
  deepEqual([fixture.verified, reviewer.asked.length], [1, 1])
})

test("[ATT-12] a failed check is over for all, and the next caller starts anew", async () => {
  const { attest, cluster, reviewer, token } = makeAttestFixture()
  reviewer.answer = () => {
    throw new IdentityError("attestor-down", "the cluster did not answer")
  }
  const text = token()
  const outcomes = await Promise.all([refusalOf(attest(text, NEVER)), refusalOf(attest(text, NEVER))])
  deepEqual(outcomes, ["review-unavailable attestor-down", "review-unavailable attestor-down"])
  equal(reviewer.asked.length, 1)
  reviewer.answer = (honest) => honest
  equal((await attest(text, NEVER)).claims.cluster, "east")
  equal(cluster.issuer, "https://kubernetes.default.svc")
})

test("[ATT-12] keys that do not come for 15 s end the check as attestation-timeout", async () => {
  const { attest, clock, token } = makeAttestFixture({ keys: { verify: () => new Promise(() => {}) } })
  const refused = refusalOf(attest(token(), NEVER))
  await clock.untilSleeping(1)
  await clock.advance(15)
  equal(await refused, "attestation-timeout attestor-down")
})

test("[ATT-04] a token that expires while the cluster is asked is refused to all who wait, whenever they came", async () => {
  const { attest, clock, reviewer, token } = makeAttestFixture()
  const text = token({ exp: clock.now() + 3 })
  const open = Promise.withResolvers<void>()
  reviewer.answer = (honest) => open.promise.then(() => honest)
  const early = refusalOf(attest(text, NEVER))
  await clock.untilSleeping(2)
  await clock.advance(3)
  const late = refusalOf(attest(text, NEVER))
  open.resolve()
  deepEqual(await Promise.all([early, late]), Array(2).fill("token-expired unauthenticated"))
  equal(reviewer.asked.length, 1)
})
