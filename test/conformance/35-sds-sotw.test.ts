import assert from "node:assert/strict"
import { test } from "node:test"
import type { Reply } from "../../src/transports/sds/session.ts"
import { type SotwRequest, SotwSession } from "../../src/transports/sds/sotw-session.ts"
import { fakeSecrets, nack } from "../support/fake-secrets.ts"
import { proveForgottenIsNotHeld, versions } from "../support/sds-forgotten.ts"

test("[SDS-02] takes a request with the nonce of the response and no error as its acknowledgement", () => {
  const session = opened(["default"])
  const sent = session.next(false)
  assert.deepEqual(session.receive(ask(["default"], sent)), { kind: "acknowledged" })
  assert.deepEqual(session.standing, { epoch: 1, nackReason: undefined })
})

test("[SDS-02] takes a request as a refusal only by its error detail", () => {
  const session = opened(["default"])
  const sent = session.next(false)
  const receipt = session.receive({ ...ask(["default"], sent), errorDetail: nack("bad key") })
  assert.deepEqual(receipt, { kind: "refused", names: ["default"], reason: "bad key" })
  assert.deepEqual(session.standing, { epoch: 0, nackReason: "bad key" })
})

test("[SDS-02] takes an error detail that says nothing for a refusal, whatever version stands beside it", () => {
  for (const versionInfo of ["", "new"]) {
    const session = opened(["default"])
    const sent = session.next(false)
    const receipt = session.receive({ ...ask(["default"], sent), versionInfo, errorDetail: { ...nack(""), code: 0 } })
    assert.equal(receipt.kind, "refused")
    assert.deepEqual(session.standing, { epoch: 0, nackReason: "" })
  }
})

test("[SDS-03] ignores a request with a stale nonce, with what it asks for", () => {
  const session = opened(["default"])
  const first = session.next(false)
  session.receive(ask(["default"], first))
  session.publish(fakeSecrets(2, { default: ["certificate", "2"], ROOTCA: ["trust", "1"] }))
  session.next(false)
  assert.deepEqual(session.receive(ask(["ROOTCA"], first)), { kind: "stale" })
  assert.equal(session.next(false), undefined)
  assert.equal(session.standing?.epoch, 1)
})

test("[SDS-04] does not send a refused version again, but the next one", () => {
  const session = opened(["default"])
  const sent = session.next(false)
  session.receive({ ...ask(["default"], sent), errorDetail: nack("no") })
  assert.equal(session.next(false), undefined)
  session.publish(fakeSecrets(2, { default: ["certificate", "1"] }))
  assert.equal(session.next(false), undefined)
  session.publish(fakeSecrets(3, { default: ["certificate", "2"] }))
  const repaired = session.next(false)
  assert.deepEqual(versions(repaired), ["default 2"])
  session.receive(ask(["default"], repaired))
  assert.deepEqual(session.standing, { epoch: 3, nackReason: undefined })
})

test("[SDS-04] bounds the reason of a refusal", () => {
  const session = opened(["default"])
  const sent = session.next(false)
  session.receive({ ...ask(["default"], sent), errorDetail: nack("x".repeat(100_000)) })
  assert.equal(session.standing?.nackReason?.length, 512)
})

test("[SDS-05] answers names that come with an acknowledgement, even when nothing changed", () => {
  const session = opened(["default"])
  const sent = session.next(false)
  assert.deepEqual(session.receive(ask(["default", "ROOTCA"], sent)), { kind: "acknowledged" })
  assert.deepEqual(versions(session.next(false)), ["ROOTCA 1"])
})

test("[SDS-05] sends a secret again that was unsubscribed in between", () => {
  const session = opened(["default", "ROOTCA"])
  const sent = session.next(false)
  session.receive(ask(["default"], sent))
  session.receive(ask(["default", "ROOTCA"], sent))
  assert.deepEqual(versions(session.next(false)), ["ROOTCA 1"])
})

test("[SDS-06] answers nothing to a first request without names", () => {
  const session = opened([])
  assert.equal(session.next(false), undefined)
  assert.equal(session.standing, undefined)
})

test("[SDS-06] takes an empty list later as the end of all subscriptions", () => {
  const session = opened(["default"])
  session.receive(ask([], session.next(false)))
  session.publish(fakeSecrets(2, { default: ["certificate", "2"] }))
  assert.equal(session.next(false), undefined)
})

test("[SDS-07][PIT-08] stays silent about an unknown name and sends it once it exists", () => {
  const session = opened(["file-root:system", "spiffe://late.example", "default"])
  const first = session.next(false)
  assert.deepEqual(versions(first), ["default 1"])
  session.receive(ask(["file-root:system", "spiffe://late.example", "default"], first))
  assert.equal(session.next(false), undefined)
  session.publish(fakeSecrets(2, { default: ["certificate", "1"], "spiffe://late.example": ["trust", "1"] }))
  assert.deepEqual(versions(session.next(false)), ["spiffe://late.example 1"])
})

test("[SDS-08] sends of several names only those that changed, each once", () => {
  const session = opened(["ROOTCA", "default", "ROOTCA"])
  const first = session.next(false)
  assert.deepEqual(versions(first), ["ROOTCA 1", "default 1"])
  session.receive(ask(["ROOTCA", "default"], first))
  session.publish(fakeSecrets(2, { default: ["certificate", "2"], ROOTCA: ["trust", "1"] }))
  assert.deepEqual(versions(session.next(false)), ["default 2"])
})

test("[SDS-09] never sends equal content twice on a stream, and counts the new epoch as held", () => {
  const session = opened(["ROOTCA"])
  session.receive(ask(["ROOTCA"], session.next(false)))
  session.publish(fakeSecrets(7, { ROOTCA: ["trust", "1"] }))
  assert.equal(session.next(false), undefined)
  assert.equal(session.standing?.epoch, 7)
})

test("[SDS-12] answers a reconnecting proxy at once, although it has the version already", () => {
  const session = new SotwSession({ names: 8 })
  session.publish(CURRENT)
  session.receive({ resourceNames: ["default"], responseNonce: "17", errorDetail: undefined })
  assert.deepEqual(versions(session.next(false)), ["default 1"])
})

test("[SDS-12] counts what a proxy held on an earlier stream for nothing", () => {
  const session = opened(["default"])
  assert.equal(session.standing, undefined)
})

test("[SDS-18] replaces no certificate while it is to be held, but gives the first one", () => {
  const session = opened(["default"])
  const first = session.next(true)
  assert.deepEqual(versions(first), ["default 1"])
  session.receive(ask(["default"], first))
  session.publish(fakeSecrets(2, { default: ["certificate", "2"] }))
  assert.equal(session.next(true), undefined)
  assert.deepEqual(versions(session.next(false)), ["default 2"])
})

test("[SDS-19] has one response in flight and skips what was overtaken", () => {
  const session = opened(["default"])
  const first = session.next(false)
  for (const version of ["2", "3", "4"]) {
    session.publish(fakeSecrets(Number(version), { default: ["certificate", version] }))
    assert.equal(session.next(false), undefined)
  }
  session.receive(ask(["default"], first))
  assert.equal(session.standing?.epoch, 1)
  assert.deepEqual(versions(session.next(false)), ["default 4"])
})

test("[SDS-19] goes on without an answer when it is told to, and takes only the newest answer then", () => {
  const session = opened(["default"])
  const first = session.next(false)
  session.publish(fakeSecrets(2, { default: ["certificate", "2"] }))
  session.giveUpWaiting()
  const second = session.next(false)
  assert.deepEqual(versions(second), ["default 2"])
  assert.deepEqual(session.receive(ask(["default"], first)), { kind: "stale" })
  session.receive(ask(["default"], second))
  assert.equal(session.standing?.epoch, 2)
})

test("[XDS-08] gives up only what was sent until then", () => {
  const session = opened(["default"])
  session.next(false, 10)
  session.publish(fakeSecrets(2, { default: ["certificate", "2"] }))
  assert.equal(session.giveUpWaiting(9), false)
  assert.equal(session.next(false, 11), undefined)
  assert.equal(session.giveUpWaiting(10), true)
  assert.deepEqual(versions(session.next(false, 12)), ["default 2"])
})

test("[SDS-20] reports the epoch that is confirmed now, also when it is an earlier one", () => {
  const session = opened(["ROOTCA"])
  session.publish(fakeSecrets(9, { ROOTCA: ["trust", "9"] }))
  session.receive(ask(["ROOTCA"], session.next(false)))
  assert.equal(session.standing?.epoch, 9)
  session.publish(fakeSecrets(3, { ROOTCA: ["trust", "3"] }))
  assert.equal(session.standing?.epoch, 9)
  session.receive(ask(["ROOTCA"], session.next(false)))
  assert.equal(session.standing?.epoch, 3)
})

test("[SDS-20] hears a late refusal of what it has gone on without, so that the peer is not taken to hold that", () => {
  const session = opened(["default", "ROOTCA"])
  session.receive(ask(["default", "ROOTCA"], session.next(false)))
  session.publish(fakeSecrets(2, { default: ["certificate", "2"], ROOTCA: ["trust", "2"] }))
  const trust = session.next(true)
  session.giveUpWaiting()
  const certificate = session.next(false)
  assert.deepEqual([versions(trust), versions(certificate)], [["ROOTCA 2"], ["default 2"]])
  const late = { ...ask([], trust), errorDetail: { code: 3, message: "no", details: [] } }
  assert.deepEqual(session.receive(late), { kind: "refused", names: ["ROOTCA"], reason: "no" })
  session.receive(ask(["default", "ROOTCA"], certificate))
  assert.deepEqual(session.standing, { epoch: 1, nackReason: "no" })
})

test("[XDS-01] refuses more names than its bound", () => {
  const session = new SotwSession({ names: 2 })
  assert.throws(() => session.receive(ask(["a", "b", "c"], undefined)), { code: "malformed" })
})

test("[XDS-01] passes over a name that is longer than any SPIFFE ID", () => {
  const session = opened(["default", `spiffe://prod.example/${"a".repeat(2048)}`])
  assert.deepEqual(versions(session.next(false)), ["default 1"])
})

test("[SDS-23] trust that fell out of the book of the unanswered does not count as held, until a newer one was acknowledged", () => {
  const session = opened(["default", "ROOTCA"])
  proveForgottenIsNotHeld(session, (reply: Reply | undefined) => session.receive(ask(["default", "ROOTCA"], reply)))
})

const CURRENT = fakeSecrets(1, { default: ["certificate", "1"], ROOTCA: ["trust", "1"] })

function opened(names: readonly string[]): SotwSession {
  const session = new SotwSession({ names: 8 })
  session.publish(CURRENT)
  session.receive(ask(names, undefined))
  return session
}

function ask(names: readonly string[], answered: Reply | undefined): SotwRequest {
  return { resourceNames: [...names], responseNonce: answered?.nonce ?? "", errorDetail: undefined }
}
