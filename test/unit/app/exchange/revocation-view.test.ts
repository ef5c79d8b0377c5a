import assert from "node:assert/strict"
import { test } from "node:test"
import { openMemoryStore } from "../../../../src/adapters/memory/memory-store.ts"
import { openRevocationView, type RevocationViewDeps } from "../../../../src/app/exchange/revocation-view.ts"
import type { AuditEvent } from "../../../../src/core/audit/event.ts"
import { IdentityError } from "../../../../src/core/errors.ts"
import { parseWorkloadId } from "../../../../src/core/spiffe/id.ts"
import type { Revocation } from "../../../../src/ports/revocations.ts"
import { FakeClock } from "../../../support/fake-clock.ts"
import { refusal } from "../../../support/refusal.ts"

const NOW = 1_800_000_000
const WEB = parseWorkloadId("spiffe://prod.example/ns/shop/sa/web")

test("a token is revoked by its id, and by its subject when it was issued at the instant or before", async () => {
  const { view } = await open()
  await view.revoke({ kind: "token", tokenId: "t1", until: NOW + 300 }, AUDIT)
  await view.revoke({ kind: "subject", subject: WEB, issuedUntil: NOW, until: NOW + 300 }, AUDIT)
  const token = (tokenId: string | undefined, subjects: readonly string[], issuedAt: number | undefined) =>
    view.isRevoked({ tokenId, subjects, issuedAt })
  assert.equal(token("t1", ["spiffe://prod.example/a"], NOW + 100), true)
  assert.equal(token("t2", ["spiffe://prod.example/a"], NOW + 100), false)
  assert.equal(token("t2", [WEB], NOW), true)
  assert.equal(token("t2", [WEB], NOW + 1), false)
  assert.equal(token(undefined, ["spiffe://prod.example/a", WEB], undefined), true)
  assert.equal(token(undefined, [`${WEB}x`], undefined), false)
})

test("a revocation whose record failed is in force all the same, and said to have failed", async () => {
  const { view, store } = await open()
  store.onWrite = () => "lost"
  const revoked = view.revoke({ kind: "token", tokenId: "t1", until: NOW + 300 }, AUDIT)
  await assert.rejects(revoked, refusal("not-ready"))
  assert.equal(view.isRevoked({ tokenId: "t1", subjects: [], issuedAt: NOW }), true)
})

test("a view that is opened later holds everything, however many pages that is", async () => {
  const { view, store } = await open()
  for (let i = 0; i < 2100; i++) await view.revoke({ kind: "token", tokenId: `t${i}`, until: NOW + 300 }, AUDIT)
  const later = await open(store)
  for (const id of ["t0", "t999", "t1000", "t2099"]) {
    assert.equal(later.view.isRevoked({ tokenId: id, subjects: [], issuedAt: NOW }), true, id)
  }
})

test("what another replica revokes is seen half a second later, and those who wait for a change are woken", async () => {
  const { view, clock, store } = await open()
  const stop = new AbortController()
  const running = view.run(stop.signal)
  const changed = view.changed(stop.signal)
  await store.revocationLog.record({ kind: "token", tokenId: "theirs", until: NOW + 300 }, AUDIT)
  assert.equal(view.isRevoked({ tokenId: "theirs", subjects: [], issuedAt: NOW }), false)
  await clock.advance(1)
  await changed
  assert.equal(view.isRevoked({ tokenId: "theirs", subjects: [], issuedAt: NOW }), true)
  stop.abort()
  await running
})

test("a revocation is forgotten an hour after its end, and not while the clock is in doubt", async () => {
  let steady = false
  const { view, clock } = await open(undefined, { steady: () => steady })
  const stop = new AbortController()
  const running = view.run(stop.signal)
  const revocations: readonly Revocation[] = [
    { kind: "token", tokenId: "t1", until: NOW },
    { kind: "subject", subject: WEB, issuedUntil: NOW, until: NOW },
  ]
  for (const revocation of revocations) await view.revoke(revocation, AUDIT)
  const inForce = () => [
    view.isRevoked({ tokenId: "t1", subjects: [], issuedAt: NOW }),
    view.isRevoked({ tokenId: "t2", subjects: [WEB], issuedAt: NOW }),
  ]
  await clock.advance(3602)
  assert.deepEqual(inForce(), [true, true])
  steady = true
  await clock.advance(1)
  assert.deepEqual(inForce(), [false, false])
  stop.abort()
  await running
})

test("a log that cannot be read keeps the view from opening; later it is reported and tried again", async () => {
  const { store } = await open()
  const broken = { ...DEAD_LOG, record: store.revocationLog.record.bind(store.revocationLog) }
  await assert.rejects(open(undefined, { log: broken }), refusal("not-ready"))
  let failures = 0
  let fail = false
  const flaky = {
    ...broken,
    readAfter: (...call: Parameters<typeof store.revocationLog.readAfter>) =>
      fail ? broken.readAfter() : store.revocationLog.readAfter(...call),
  }
  const { view, clock } = await open(undefined, { log: flaky, onReadFailed: () => void failures++ })
  const stop = new AbortController()
  const running = view.run(stop.signal)
  fail = true
  await clock.advance(1)
  assert.ok(failures > 0)
  fail = false
  await store.revocationLog.record({ kind: "token", tokenId: "t1", until: NOW + 300 }, AUDIT)
  await clock.advance(1)
  assert.equal(view.isRevoked({ tokenId: "t1", subjects: [], issuedAt: NOW }), true)
  stop.abort()
  await running
})

async function open(store = openMemoryStore(), change: Partial<RevocationViewDeps> = {}) {
  const clock = new FakeClock(NOW)
  const deps: RevocationViewDeps = {
    log: store.revocationLog,
    clock,
    restoredAt: undefined,
    steady: () => true,
    onReadFailed: (error) => {
      throw error
    },
    ...change,
  }
  return { store, clock, view: await openRevocationView(deps) }
}

const DEAD_LOG = {
  readAfter: async (): Promise<never> => {
    throw new IdentityError("not-ready", "store is closed")
  },
}

const AUDIT: AuditEvent = {
  type: "token.revoked",
  at: NOW,
  actor: "spiffe://prod.example/ns/shop/sa/web",
  requestId: "r1",
  tokenId: "t1",
  subject: WEB,
  clientId: WEB,
}
