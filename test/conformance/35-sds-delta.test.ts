import assert from "node:assert/strict"
import { test } from "node:test"
import { type DeltaRequest, DeltaSession } from "../../src/transports/sds/delta-session.ts"
import type { Reply } from "../../src/transports/sds/session.ts"
import { fakeSecrets, nack } from "../support/fake-secrets.ts"
import { proveForgottenIsNotHeld, versions } from "../support/sds-forgotten.ts"

test("[SDS-10] answers a subscription of a stream that comes back, whatever the proxy says to hold", () => {
  const session = new DeltaSession({ names: 8 })
  session.publish(CURRENT)
  session.receive({ ...ask({ subscribe: ["default"] }), responseNonce: "41" })
  assert.deepEqual(versions(session.next(false)), ["default 1"])
})

test("[SDS-10] answers a name that is subscribed again on the same stream", () => {
  const session = opened(["default"])
  session.receive(ask({ nonce: session.next(false)?.nonce }))
  assert.equal(session.next(false), undefined)
  session.receive(ask({ subscribe: ["default"] }))
  assert.deepEqual(versions(session.next(false)), ["default 1"])
})

test("[SDS-10] answers a subscription while an earlier response is in flight", () => {
  const session = opened(["default"])
  session.next(false)
  session.receive(ask({ subscribe: ["ROOTCA"] }))
  assert.deepEqual(versions(session.next(false)), ["ROOTCA 1"])
})

test("[SDS-10] bounds the responses to a proxy that subscribes and never acknowledges", () => {
  const session = opened([])
  let answers = 0
  for (let round = 0; round < 100; round += 1) {
    session.receive(ask({ subscribe: ["default"] }))
    if (session.next(false) !== undefined) answers += 1
  }
  assert.equal(answers, 16)
})

test("[SDS-11] names a secret that is gone as removed, once, and sends it when it comes back", () => {
  const session = opened(["default", "spiffe://other.example"])
  const withOther = fakeSecrets(2, { default: ["certificate", "1"], "spiffe://other.example": ["trust", "1"] })
  session.publish(withOther)
  session.receive(ask({ nonce: session.next(false)?.nonce }))
  session.publish(fakeSecrets(3, { default: ["certificate", "1"] }))
  const removal = session.next(false)
  assert.deepEqual(removal?.removed, ["spiffe://other.example"])
  assert.deepEqual(session.receive(ask({ nonce: removal?.nonce })), { kind: "acknowledged" })
  assert.equal(session.next(false), undefined)
  session.publish(withOther)
  assert.deepEqual(versions(session.next(false)), ["spiffe://other.example 1"])
})

test("[SDS-02][SDS-04] does not send a refused version again, but the next one", () => {
  const session = opened(["default"])
  const sent = session.next(false)
  const receipt = session.receive({ ...ask({ nonce: sent?.nonce }), errorDetail: nack("no") })
  assert.deepEqual(receipt, { kind: "refused", names: ["default"], reason: "no" })
  session.publish(fakeSecrets(2, { default: ["certificate", "1"] }))
  assert.equal(session.next(false), undefined)
  assert.deepEqual(session.standing, { epoch: 0, nackReason: "no" })
  session.publish(fakeSecrets(3, { default: ["certificate", "2"] }))
  assert.deepEqual(versions(session.next(false)), ["default 2"])
})

test("[SDS-03] does not count an answer with an unknown nonce", () => {
  const session = opened(["default"])
  session.next(false)
  assert.deepEqual(session.receive(ask({ nonce: "99" })), { kind: "stale" })
  assert.equal(session.standing?.epoch, 0)
})

test("[SDS-07][PIT-08] stays silent about an unknown name and sends it once it exists", () => {
  const session = opened(["spiffe://late.example"])
  assert.equal(session.next(false), undefined)
  session.publish(fakeSecrets(2, { "spiffe://late.example": ["trust", "1"] }))
  assert.deepEqual(versions(session.next(false)), ["spiffe://late.example 1"])
})

test("[SDS-06] sends nothing more for a name that was unsubscribed", () => {
  const session = opened(["default"])
  const sent = session.next(false)
  session.receive(ask({ unsubscribe: ["default"], nonce: sent?.nonce }))
  session.publish(fakeSecrets(2, { default: ["certificate", "2"] }))
  assert.equal(session.next(false), undefined)
})

test("[SDS-19] sends a newer version of a secret only after the earlier one was answered", () => {
  const session = opened(["default"])
  const sent = session.next(false)
  session.publish(fakeSecrets(2, { default: ["certificate", "2"] }))
  session.publish(fakeSecrets(3, { default: ["certificate", "3"] }))
  assert.equal(session.next(false), undefined)
  session.receive(ask({ nonce: sent?.nonce }))
  assert.deepEqual(versions(session.next(false)), ["default 3"])
})

test("[SDS-20] a late refusal of what was overtaken is none of what the proxy holds now, whichever answer comes first", () => {
  for (const order of ["as sent", "reversed"] as const) {
    const session = opened(["default"])
    const first = session.next(false)
    session.giveUpWaiting()
    session.publish(fakeSecrets(2, { default: ["certificate", "2"] }))
    const second = session.next(false)
    const answers = [{ ...ask({ nonce: first?.nonce }), errorDetail: nack("no") }, ask({ nonce: second?.nonce })]
    for (const answer of order === "as sent" ? answers : answers.toReversed()) session.receive(answer)
    assert.deepEqual(session.standing, { epoch: 2, nackReason: undefined })
  }
})

test("[SDS-20] a late refusal of a name that was unsubscribed does not stick", () => {
  const session = opened(["default"])
  const first = session.next(false)
  session.receive(ask({ subscribe: ["ROOTCA"], unsubscribe: ["default"] }))
  const second = session.next(false)
  session.receive({ ...ask({ nonce: first?.nonce }), errorDetail: nack("no") })
  session.receive(ask({ nonce: second?.nonce }))
  assert.deepEqual(session.standing, { epoch: 1, nackReason: undefined })
})

test("[SDS-20] a refusal of what was sent again since does not stick", () => {
  const session = opened(["default"])
  const first = session.next(false)
  session.receive(ask({ subscribe: ["default"] }))
  const second = session.next(false)
  session.receive({ ...ask({ nonce: first?.nonce }), errorDetail: nack("no") })
  session.receive(ask({ nonce: second?.nonce }))
  assert.deepEqual(session.standing, { epoch: 1, nackReason: undefined })
})

test("[SDS-20] an answer says nothing of a trust that waited for another answer when that was sent", () => {
  const session = opened(["default", "ROOTCA"])
  session.receive(ask({ nonce: session.next(false)?.nonce }))
  session.publish(fakeSecrets(2, { default: ["certificate", "1"], ROOTCA: ["trust", "2"] }))
  const trust = session.next(false)
  session.publish(fakeSecrets(3, { default: ["certificate", "3"], ROOTCA: ["trust", "3"] }))
  const certificate = session.next(false)
  assert.deepEqual([versions(trust), versions(certificate)], [["ROOTCA 2"], ["default 3"]])
  session.receive(ask({ nonce: trust?.nonce }))
  session.receive(ask({ nonce: certificate?.nonce }))
  assert.equal(session.standing?.epoch, 1)
  session.receive(ask({ nonce: session.next(false)?.nonce }))
  assert.equal(session.standing?.epoch, 3)
})

test("[XDS-01] refuses more names than its bound", () => {
  const session = opened(["a", "b", "c"])
  assert.throws(() => session.receive(ask({ subscribe: ["d", "e", "f", "g", "h", "i"] })), { code: "malformed" })
})

test("[SDS-23] trust that fell out of the book of the unanswered does not count as held, until a newer one was acknowledged", () => {
  const session = opened(["default", "ROOTCA"])
  proveForgottenIsNotHeld(session, (reply: Reply | undefined) => session.receive(ask({ nonce: reply?.nonce })))
})

const CURRENT = fakeSecrets(1, { default: ["certificate", "1"], ROOTCA: ["trust", "1"] })

function opened(names: readonly string[]): DeltaSession {
  const session = new DeltaSession({ names: 8 })
  session.publish(CURRENT)
  session.receive(ask({ subscribe: names }))
  return session
}

interface Asked {
  readonly subscribe?: readonly string[]
  readonly unsubscribe?: readonly string[]
  readonly nonce?: string | undefined
}

function ask({ subscribe = [], unsubscribe = [], nonce = "" }: Asked): DeltaRequest {
  return {
    resourceNamesSubscribe: [...subscribe],
    resourceNamesUnsubscribe: [...unsubscribe],
    responseNonce: nonce,
    errorDetail: undefined,
  }
}
