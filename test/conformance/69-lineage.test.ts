import assert from "node:assert/strict"
import { test } from "node:test"
import type { AuditEvent } from "../../src/core/audit/event.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { type IssueFixture, jwtRequest, NEVER, openIssueFixture, x509Request } from "../support/issue-fixture.ts"
import { refusal } from "../support/refusal.ts"
import { rule, table } from "../support/rule-table.ts"

const VIOLATED = refusal("policy-denied", "lineage-violated")
const FROZEN = refusal("policy-denied", "lineage-frozen")

/** Ask with a fresh key, quoting `renews`. */
async function renew(
  fixture: IssueFixture,
  renews: string | undefined,
  change: Parameters<typeof x509Request>[0] = {},
) {
  const { serial } = await fixture.issueX509(x509Request({ renews, ...change }), NEVER)
  return serial
}

test("[LIN-01] agents of one pod renew side by side, and one that was restarted begins anew; the log says who renewed what", async () => {
  const fixture = await openIssueFixture()
  const first = await renew(fixture, undefined)
  const other = await renew(fixture, undefined)
  const restarted = await renew(fixture, undefined)
  const next = [await renew(fixture, other), await renew(fixture, first), await renew(fixture, restarted)]
  assert.equal(new Set(next).size, 3)
  assert.deepEqual(
    granted(fixture.store.events).map(({ renews }) => renews),
    ["", "", "", other, first, restarted],
  )
})

test("[LIN-02] an answer that was lost is given again to the same key, and only the newest answer is gone on from", async () => {
  const fixture = await openIssueFixture()
  const first = await renew(fixture, undefined)
  const request = x509Request({ renews: first })
  const answers: string[] = []
  for (let i = 0; i < 4; i++) {
    answers.push((await fixture.issueX509(request, NEVER)).serial)
    await fixture.clock.advance(61) // else the retry is handed the same certificate
  }
  assert.equal(new Set(answers).size, 4)
  await renew(fixture, answers[3])
  await assert.rejects(renew(fixture, answers[2]), VIOLATED)
})

test("[INV-31] a certificate that was renewed by another key is an incident, recorded before the reply", async () => {
  const fixture = await openIssueFixture()
  const first = await renew(fixture, undefined)
  const second = await renew(fixture, first)
  await assert.rejects(renew(fixture, first, { requestId: "clone" }), VIOLATED)
  assert.deepEqual(fixture.store.events.at(-1), {
    type: "lineage.violated",
    at: fixture.clock.now(),
    actor: "k8s:main/shop/web/web-0",
    requestId: "clone",
    spiffeId: "spiffe://prod.example/ns/shop/sa/web",
    serial: first,
    current: second,
    frozen: true,
  })
  assert.equal(fixture.signed.length, 2)
})

test("[INV-31] an earlier certificate is nobody's to renew, not even for its own key", async () => {
  const fixture = await openIssueFixture()
  const first = await renew(fixture, undefined)
  const request = x509Request({ renews: first })
  const { serial } = await fixture.issueX509(request, NEVER)
  await renew(fixture, await renew(fixture, serial))
  await fixture.clock.advance(61)
  await assert.rejects(fixture.issueX509(request, NEVER), VIOLATED)
})

test("[LIN-04] from then on the pod gets no certificate of that identity, with a quote or without; each try is recorded", async () => {
  const fixture = await openIssueFixture()
  fixture.rules = table(["a", "b"].map((name) => rule({ name, spiffeId: `/${name}`, hint: name })))
  const spiffeId = parseSpiffeId("spiffe://prod.example/b")
  const other = await renew(fixture, undefined, { spiffeId })
  const first = await renew(fixture, undefined)
  const second = await renew(fixture, first)
  await assert.rejects(renew(fixture, first), VIOLATED)
  for (const quoted of [first, second, undefined]) await assert.rejects(renew(fixture, quoted), FROZEN)
  const refused = fixture.store.events.filter(({ type }) => type === "svid.refused")
  assert.deepEqual(
    refused.map((event) => event.type === "svid.refused" && [event.kind, event.code, event.reason]),
    Array.from({ length: 3 }, () => ["x509", "policy-denied", "lineage-frozen"]),
  )
  await renew(fixture, other, { spiffeId })
  await fixture.issueJwt(jwtRequest(), NEVER)
  fixture.caller = { pod: { name: "web-0", uid: "uid of the pod that took its place" } }
  await renew(fixture, undefined)
})

test("[LIN-06] a certificate of another pod, or of another identity, is not the caller's to renew; nobody is frozen for it", async () => {
  const fixture = await openIssueFixture()
  fixture.rules = table(["a", "b"].map((name) => rule({ name, spiffeId: `/${name}`, hint: name })))
  const first = await renew(fixture, undefined)
  const spiffeId = parseSpiffeId("spiffe://prod.example/b")
  await assert.rejects(renew(fixture, first, { spiffeId }), VIOLATED)
  fixture.caller = { pod: { name: "web-1", uid: "another" } }
  await assert.rejects(renew(fixture, first), VIOLATED)
  const incident = fixture.store.events.at(-1)
  assert.ok(incident?.type === "lineage.violated" && !incident.frozen && incident.current === "")
  await renew(fixture, await renew(fixture, undefined))
  fixture.caller = {}
  await renew(fixture, first)
})

test("[LIN-08] a retry within a minute is handed the same certificate, and moves nothing", async () => {
  const fixture = await openIssueFixture()
  const request = x509Request({ renews: await renew(fixture, undefined) })
  const { serial } = await fixture.issueX509(request, NEVER)
  const next = await renew(fixture, serial)
  assert.equal((await fixture.issueX509(request, NEVER)).serial, serial)
  await renew(fixture, next)
})

test("[LIN-02] an intent that was kept although the caller saw an error is gone on from by the same key", async () => {
  const fixture = await openIssueFixture()
  const request = x509Request({ renews: await renew(fixture, undefined) })
  fixture.store.onWrite = (write) => (write === "intent" ? "kept" : "none")
  await assert.rejects(fixture.issueX509(request, NEVER), refusal("not-ready"))
  fixture.store.onWrite = () => "none"
  const { serial } = await fixture.issueX509(request, NEVER)
  await renew(fixture, serial)
})

test("[LIN-09] a caller whose token names no pod has no lineage", async () => {
  const fixture = await openIssueFixture()
  fixture.caller = { pod: undefined }
  const first = await renew(fixture, undefined)
  for (let i = 0; i < 3; i++) await renew(fixture, first)
})

test("[LIN-12] where a pod has one agent, a second holder of its token is found out when the first one renews", async () => {
  const fixture = await openIssueFixture()
  fixture.oneAgentPerPod = true
  const first = await renew(fixture, undefined)
  const restarted = await renew(fixture, undefined)
  const stolen = await renew(fixture, undefined)
  await assert.rejects(renew(fixture, restarted), VIOLATED)
  for (const quoted of [first, stolen, undefined]) await assert.rejects(renew(fixture, quoted), FROZEN)
})

test("[LIN-12] an agent that restarts again and again accuses nobody, and neither does a proxy beside it", async () => {
  const fixture = await openIssueFixture()
  fixture.oneAgentPerPod = true
  const proxy = await renew(fixture, undefined, { keptHere: true })
  let last = ""
  for (let i = 0; i < 20; i++) last = await renew(fixture, await renew(fixture, undefined))
  await renew(fixture, proxy, { keptHere: true })
  await renew(fixture, last)
})

function granted(events: readonly AuditEvent[]) {
  return events.flatMap((event) => (event.type === "svid.granted" ? [event] : []))
}
