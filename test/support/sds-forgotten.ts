import assert from "node:assert/strict"
import type { Reply, Session } from "../../src/transports/sds/session.ts"
import { fakeSecrets } from "./fake-secrets.ts"

/**
 * Trust that the session sent, and that fell out of the book of what is unanswered, is not held until a newer one was acknowledged.
 * @param session subscribed to `default` and `ROOTCA`, both of version 1 @param take acknowledges a reply @see SDS-23
 */
export function proveForgottenIsNotHeld(
  session: Omit<Session<never>, "receive">,
  take: (reply: Reply | undefined) => void,
): void {
  take(session.next(false))
  session.publish(fakeSecrets(2, { default: ["certificate", "1"], ROOTCA: ["trust", "2"] }))
  assert.deepEqual(versions(session.next(false)), ["ROOTCA 2"])
  const unanswered: (Reply | undefined)[] = []
  for (let version = 2; version <= 18; version++) {
    session.giveUpWaiting()
    session.publish(fakeSecrets(2, { default: ["certificate", String(version)], ROOTCA: ["trust", "2"] }))
    unanswered.push(session.next(false))
  }
  for (const reply of unanswered.slice(-16)) take(reply)
  assert.equal(session.standing?.epoch, 1)
  session.publish(fakeSecrets(3, { default: ["certificate", "18"], ROOTCA: ["trust", "2"] }))
  assert.deepEqual(
    [session.next(false), session.standing?.epoch],
    [undefined, 1],
    "a set that brings nothing new does not, either",
  )
  session.publish(fakeSecrets(4, { default: ["certificate", "18"], ROOTCA: ["trust", "4"] }))
  take(session.next(false))
  assert.equal(session.standing?.epoch, 4)
}

export function versions(reply: Reply | undefined): readonly string[] {
  return (reply?.secrets ?? []).map(({ name, version }) => `${name} ${version}`)
}
