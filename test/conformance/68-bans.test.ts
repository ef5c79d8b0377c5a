import assert from "node:assert/strict"
import { test } from "node:test"
import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { openBanView } from "../../src/app/ban/ban-view.ts"
import { BAN_KINDS, type BanKind, banName, parseBanTarget, type RecordedBan } from "../../src/core/ban/ban.ts"
import { BanIndex, type BanSubject, matchBan, NOBODY } from "../../src/core/ban/ban-index.ts"
import { keyNameOf } from "../../src/core/ban/key-name.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { banishing } from "../support/ban-order.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { FIXTURE_START, jwtRequest, NEVER, openIssueFixture, x509Request } from "../support/issue-fixture.ts"
import { assertRefused, assertRejected } from "../support/refused.ts"

const WEB = "spiffe://prod.example/ns/shop/sa/web"
const UID = "0f8fad5b-d9cb-469f-a165-70867728950e"
const KEY = "ab".repeat(32)
const WORKLOAD: BanSubject = {
  ids: [parseSpiffeId(WEB)],
  places: [{ cluster: "main", namespace: "shop", podUid: UID, node: "node-1" }],
  keys: [KEY],
}

const HITS: readonly (readonly [BanKind, string])[] = [
  ["identity", WEB],
  ["prefix", WEB],
  ["prefix", "spiffe://prod.example/ns/shop"],
  ["prefix", "spiffe://prod.example"],
  ["cluster", "main"],
  ["namespace", "main/shop"],
  ["node", "main/node-1"],
  ["pod", UID],
  ["key", KEY],
]
const MISSES: readonly (readonly [BanKind, string])[] = [
  ["identity", "spiffe://prod.example/ns/shop/sa/web2"],
  ["identity", "spiffe://prod.example/ns/shop/sa/we"],
  ["identity", "spiffe://prod.example/ns/shop/sa/Web"],
  ["identity", "spiffe://prod.example/ns/shop/sa"],
  ["identity", "spiffe://prod.example.org/ns/shop/sa/web"],
  ["prefix", "spiffe://prod.example/ns/sho"],
  ["prefix", "spiffe://prod.example/ns/shop/sa/we"],
  ["prefix", "spiffe://prod.example/ns/Shop"],
  ["prefix", "spiffe://prod.exampl"],
  ["prefix", "spiffe://prod.example/ns/shop/sa/web/x"],
  ["cluster", "mai"],
  ["cluster", "Main"],
  ["namespace", "main/sho"],
  ["namespace", "other/shop"],
  ["node", "main/node-10"],
  ["node", "other/node-1"],
  ["pod", `${UID}0`],
  ["pod", UID.toUpperCase()],
  ["key", `${"ab".repeat(31)}ac`],
]

for (const [kind, name] of HITS) {
  test(`[BAN-01] a ban of ${kind} ${name} names the workload`, () => {
    assert.equal(matchBan(indexOf([kind, name]), WORKLOAD, 1)?.ban.target.kind, kind)
  })
}

for (const [kind, name] of MISSES) {
  test(`[INV-34] a ban of ${kind} ${name} does not reach the workload beside it`, () => {
    assert.equal(matchBan(indexOf([kind, name]), WORKLOAD, 1), undefined)
  })
}

test("[BAN-01] each name has one spelling, and others are refused", () => {
  for (const [kind, name] of HITS) assert.equal(banName(parseBanTarget(kind, name)), name)
  const refused: readonly (readonly [BanKind, string])[] = [
    ["identity", "spiffe://prod.example"],
    ["identity", "SPIFFE://prod.example/ns/shop"],
    ["identity", "spiffe://prod.example/ns/shop/"],
    ["identity", "spiffe://prod.example/ns/*"],
    ["prefix", "spiffe://prod.example/ns/shop/"],
    ["prefix", "spiffe://prod.example/ns/../x"],
    ["prefix", `spiffe://prod.example${"/x".repeat(17)}`],
    ["cluster", ""],
    ["cluster", "main/shop"],
    ["namespace", "shop"],
    ["namespace", "main/Shop"],
    ["namespace", "main/shop/web"],
    ["node", "node-1"],
    ["node", "main/"],
    ["pod", ""],
    ["pod", "a/b"],
    ["key", KEY.toUpperCase()],
    ["key", KEY.slice(2)],
  ]
  for (const [kind, name] of refused) assertRefused(() => parseBanTarget(kind, name), "malformed")
})

test("[BAN-02] the server itself cannot be banned, and a wider ban does not touch it", async () => {
  for (const kind of ["identity", "prefix"] as const) {
    assertRefused(() => parseBanTarget(kind, "spiffe://prod.example/assay/server"), "malformed")
  }
  assertRefused(() => parseBanTarget("prefix", "spiffe://prod.example/assay"), "malformed")
  const server: BanSubject = { ...NOBODY, ids: [parseSpiffeId("spiffe://prod.example/assay/server")] }
  assert.equal(matchBan(indexOf(["prefix", "spiffe://prod.example"]), server, 1), undefined)
})

test("[BAN-03] 10,000 bans are held, one more is refused, and none of them is forgotten", async () => {
  const { bans, clock } = await openView()
  const { ban } = banishing(bans, clock)
  for (let n = 0; n < 10_000; n++) await ban("pod", `pod-${n}`)
  await assertRejected(ban("pod", "one-more"), "rate-limited", "bans-full")
  await ban("pod", "pod-7")
  assert.equal(bans.inForce().length, 10_000)
  assert.notEqual(bans.match(inPod("pod-0")), undefined)
  assert.equal(bans.match(inPod("one-more")), undefined)
})

test("[BAN-04] a ban is durable with its audit record, or it is not there; a server that starts knows it", async () => {
  const fixture = await openIssueFixture()
  const { ban } = banishing(fixture.bans, fixture.clock)
  fixture.store.onWrite = (kind) => (kind === "ban" ? "lost" : "none")
  await assertRejected(ban("identity", WEB), "not-ready")
  await fixture.issueX509(x509Request(), NEVER)
  assert.equal(fixture.store.events.filter(({ type }) => type === "ban.added").length, 0)
  fixture.store.onWrite = (kind) => (kind === "ban" ? "kept" : "none")
  await assertRejected(ban("identity", WEB), "not-ready")
  fixture.store.onWrite = () => "none"
  assert.equal(fixture.store.events.filter(({ type }) => type === "ban.added").length, 1)
  await assertRejected(fixture.issueX509(x509Request(), NEVER), "policy-denied", "banned")
  const next = await openIssueFixture({ after: fixture })
  await assertRejected(next.issueX509(x509Request(), NEVER), "policy-denied", "banned")
})

test("[BAN-05] a replica that did not hear of a ban refuses all the same, and looks again for the others", async () => {
  const one = await openIssueFixture()
  const other = await openIssueFixture({ after: one })
  const { ban } = banishing(one.bans, one.clock)
  other.caller = { serviceAccount: "db" }
  await ban("identity", WEB)
  assert.notEqual(one.bans.head, other.bans.head)
  const { spiffeId } = await other.issueX509(x509Request(), NEVER)
  assert.equal(spiffeId, "spiffe://prod.example/ns/shop/sa/db")
  await ban("identity", spiffeId)
  await assertRejected(other.issueJwt(jwtRequest(), NEVER), "policy-denied", "banned")
  const refused = other.store.events.filter(({ type }) => type === "svid.refused")
  assert.deepEqual(
    refused.map((event) => (event.type === "svid.refused" ? [event.kind, event.actor, event.reason] : [])),
    [["jwt", "k8s:main/shop/db/web-0", "banned"]],
  )
})

test("[BAN-05] a retry is not handed its earlier certificate once its holder is banned", async () => {
  const one = await openIssueFixture()
  const other = await openIssueFixture({ after: one })
  const request = x509Request()
  await other.issueX509(request, NEVER)
  const { ban } = banishing(one.bans, one.clock)
  await ban("pod", "pod-uid")
  await assertRejected(other.issueX509(request, NEVER), "policy-denied", "banned")
})

test("[BAN-06] the banned hear that they are, not by whom or how; the refusal is recorded before they do", async () => {
  const fixture = await openIssueFixture()
  await banishing(fixture.bans, fixture.clock).ban("namespace", "main/shop")
  await assert.rejects(fixture.issueX509(x509Request({ requestId: "r7" }), NEVER), (error: Error) => {
    assert.deepEqual([error.message.includes("shop"), "reason" in error && error.reason], [false, "banned"])
    assert.match(String(error.cause), /namespace main\/shop/)
    return true
  })
  assert.deepEqual(fixture.store.events.at(-1), {
    type: "svid.refused",
    kind: "x509",
    at: fixture.clock.now(),
    actor: "k8s:main/shop/web/web-0",
    requestId: "r7",
    code: "policy-denied",
    reason: "banned",
  })
})

test("[BAN-07] a ban ends by itself, and a second one never makes it shorter", async () => {
  const fixture = await openIssueFixture()
  const { ban } = banishing(fixture.bans, fixture.clock)
  await ban("identity", WEB, FIXTURE_START + 600)
  await ban("identity", WEB, FIXTURE_START + 60)
  await fixture.clock.advance(599)
  await assertRejected(fixture.issueX509(x509Request(), NEVER), "policy-denied", "banned")
  await fixture.clock.advance(1)
  await fixture.issueX509(x509Request(), NEVER)
  assert.equal(fixture.bans.inForce().length, 0)
})

test("[BAN-11] once the ban is lifted, identities are issued again; on another replica within a second", async () => {
  const one = await openIssueFixture()
  const other = await openIssueFixture({ after: one })
  const stop = new AbortController()
  const following = other.bans.run(stop.signal)
  const { ban, lift } = banishing(one.bans, one.clock)
  await ban("cluster", "main")
  await one.clock.advance(1)
  for (const replica of [one, other]) {
    await assertRejected(replica.issueJwt(jwtRequest(), NEVER), "policy-denied", "banned")
  }
  await lift("cluster", "main")
  await one.issueJwt(jwtRequest(), NEVER)
  await one.clock.advance(1)
  await other.issueX509(x509Request(), NEVER)
  stop.abort()
  await following
})

for (const kind of BAN_KINDS.filter((one) => one !== "key")) {
  test(`[REVO-01] a ban by ${kind} stops certificates and tokens of the workload, and of nobody else`, async () => {
    const fixture = await openIssueFixture()
    const { ban } = banishing(fixture.bans, fixture.clock)
    await ban(kind, BY_KIND[kind])
    await assertRejected(fixture.issueX509(x509Request(), NEVER), "policy-denied", "banned")
    await assertRejected(fixture.issueJwt(jwtRequest(), NEVER), "policy-denied", "banned")
    fixture.caller = {
      cluster: "other",
      namespace: "bank",
      pod: { name: "web-1", uid: "other-uid" },
      node: { name: "node-2", uid: "n2" },
    }
    await fixture.issueX509(x509Request({ token: "another" }), NEVER).catch((error: unknown) => {
      // The rule table of the fixture knows one cluster.
      assert.ok(error instanceof Error && !("reason" in error && error.reason === "banned"))
    })
  })
}

test("[REVO-01] a ban by key stops certificates for that key, whoever asks, and is recorded", async () => {
  const fixture = await openIssueFixture()
  const request = x509Request()
  assert.ok(request.key.kind === "proven-key")
  await banishing(fixture.bans, fixture.clock).ban("key", keyNameOf(request.key.publicKey))
  await assertRejected(fixture.issueX509(request, NEVER), "policy-denied", "banned")
  assert.equal(fixture.store.events.at(-1)?.type, "svid.refused")
  assert.equal(fixture.steps.at(-1), "refused policy-denied")
  await fixture.issueX509(x509Request(), NEVER)
})

const BY_KIND: Readonly<Record<BanKind, string>> = {
  identity: WEB,
  prefix: "spiffe://prod.example/ns/shop",
  cluster: "main",
  namespace: "main/shop",
  node: "main/node-1",
  pod: "pod-uid",
  key: KEY,
}

function indexOf([kind, name]: readonly [BanKind, string]): BanIndex {
  const ban = { target: parseBanTarget(kind, name), reason: "test", actor: "test", createdAt: 0, until: undefined }
  const recorded: RecordedBan = { sequence: 1, ban, liftedAt: undefined }
  const index = new BanIndex()
  index.put(recorded)
  return index
}

function inPod(podUid: string): BanSubject {
  return { ...NOBODY, places: [{ cluster: "main", namespace: "shop", podUid, node: "" }] }
}

async function openView() {
  const clock = new FakeClock(FIXTURE_START)
  const onReadFailed = (error: unknown) => assert.ifError(error)
  const bans = await openBanView({ log: openMemoryStore().banLog, clock, steady: () => true, onReadFailed })
  return { bans, clock }
}
