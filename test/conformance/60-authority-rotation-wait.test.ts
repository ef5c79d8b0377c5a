import assert from "node:assert/strict"
import { test } from "node:test"
import { setImmediate } from "node:timers/promises"
import { beingReplaced, makeWhenReplaced } from "../../src/app/authority/when-replaced.ts"
import { makeClockGuard } from "../../src/app/issue/clock-guard.ts"
import type { X509Svid } from "../../src/app/issue/requests.ts"
import { verifySvidChain } from "../../src/core/x509/path.ts"
import { banishing } from "../support/ban-order.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { type HeldOpens, holdOpens } from "../support/held-opens.ts"
import { jwtRequest, NEVER, x509Request } from "../support/issue-fixture.ts"
import { refusal } from "../support/refusal.ts"
import { ALICE, type Controlled, type ControlledOptions, openControlled } from "../support/rotation/controlled.ts"
import { until } from "../support/until.ts"

const ALL = { by: "alice", reason: "incident 7", consumers: "all" } as const
const REPLACED = refusal("not-ready", "being-replaced")

test("[AUT-14][AUT-15][ROT-38] whoever asks during an emergency waits for the new root, all of them for one replacement", async () => {
  const it = await declared()
  const before = it.fixture.store.events.length
  const asked = Array.from({ length: 150 }, () => it.fixture.issueX509(x509Request(), NEVER))
  await it.waiting()
  assert.ok(!it.fixture.steps.includes("intent"))
  it.opens.release()
  for (const svid of await Promise.all(asked)) it.demandNew(svid)
  await it.emergency
  const adopted = it.fixture.store.events.slice(before).filter(({ type }) => type === "authority.adopted")
  assert.equal(adopted.length, 1)
  assert.ok(!it.fixture.steps.some((step) => step.startsWith("refused")))
})

test("[AUT-14] after five seconds it is refused as before, as is at once whoever comes later; then all goes on", async () => {
  const it = await declared()
  const first = it.fixture.issueX509(x509Request(), NEVER)
  await it.waiting()
  await it.fixture.clock.advance(4)
  const second = it.fixture.issueX509(x509Request(), NEVER)
  await until("both", () => it.fixture.steps.filter((step) => step === "attest").length === 2)
  const refused = Promise.all([assert.rejects(first, REPLACED), assert.rejects(second, REPLACED)])
  await it.fixture.clock.advance(1)
  await refused
  await assert.rejects(it.fixture.issueX509(x509Request(), NEVER), REPLACED)
  assert.equal(it.fixture.clock.sleeping, 0)
  it.opens.release()
  await Promise.all([it.emergency, it.deps.authority.follow()])
  it.demandNew(await it.fixture.issueX509(x509Request(), NEVER))
  assert.equal(it.opens.count, 1)
})

test("[AUT-14] whoever is gone, or whose time is over, waits no longer; the others do", async () => {
  const it = await declared()
  const gone = new AbortController()
  const [one, other] = [gone.signal, NEVER].map((signal) => it.fixture.issueX509(x509Request(), signal))
  await it.waiting()
  gone.abort(new DOMException("deadline exceeded", "TimeoutError"))
  await assert.rejects(one ?? assert.fail(), { name: "TimeoutError" })
  assert.ok(it.fixture.steps.includes("refused deadline"))
  it.opens.release()
  it.demandNew((await other) ?? assert.fail())
})

test("[AUT-14][BAN-05] who is banned while it waits gets nothing", async () => {
  const it = await declared()
  const asked = it.fixture.issueX509(x509Request(), NEVER)
  const refused = assert.rejects(asked, refusal("policy-denied", "banned"))
  await it.waiting()
  await banishing(it.fixture.bans, it.fixture.clock).ban("identity", "spiffe://prod.example/ns/shop/sa/web")
  it.opens.release()
  await refused
  assert.deepEqual(it.fixture.signed, [])
})

test("[AUT-14][INV-21] nothing is signed when the clock jumped meanwhile", async () => {
  const it = await declared()
  const refused = assert.rejects(it.fixture.issueX509(x509Request(), NEVER), refusal("not-ready", "clock-jumped"))
  await it.waiting()
  it.fixture.clock.jumpWall(45)
  it.opens.release()
  await refused
  assert.deepEqual(it.fixture.signed, [])
})

test("[AUT-14][ROT-68] when what an emergency made is stolen too, who waits gets one below what took its place", async () => {
  const it = await declared()
  it.fixture.store.onWrite = (kind) => (kind === "issuing" ? "lost" : "none")
  it.opens.release()
  await it.emergency // which leaves it to others to follow
  it.fixture.store.onWrite = () => "none"
  it.opens.hold()
  const asked = it.fixture.issueX509(x509Request(), NEVER)
  await until("it is being made below the first", () => it.opens.count === 2)
  const first = it.trust.snapshot().own
  const again = it.operate.emergency({ ...ALL, again: true }, ALICE)
  await until("declared", () => it.trust.snapshot().own !== first)
  it.opens.release()
  const svid = await asked
  it.demandNew(svid)
  assert.throws(() => verifySvidChain(svid.chain, first, it.fixture.clock.now()))
  await again
})

for (const fault of ["lost", "kept"] as const) {
  for (const write of ["audit", "issuing"] as const) {
    test(`[AUT-15] a ${fault} ${write} write of the replacement costs nobody who waits; when all are, they are refused, until one is not`, async () => {
      const it = await declared()
      const { store, clock } = it.fixture
      let left = 1
      store.onWrite = (kind) => (kind === write && left-- > 0 ? fault : "none")
      const asked = Array.from({ length: 3 }, () => it.fixture.issueX509(x509Request(), NEVER))
      await it.waiting()
      it.opens.release()
      for (const svid of await Promise.all(asked)) it.demandNew(svid)

      const again = await declared()
      again.fixture.store.onWrite = (kind) => (kind === write ? fault : "none")
      const refused = Array.from({ length: 3 }, () => again.fixture.issueX509(x509Request(), NEVER))
      const all = Promise.all(refused.map((one) => assert.rejects(one, REPLACED)))
      await again.waiting()
      again.opens.release()
      await Promise.all([all, again.emergency])
      const tries = again.opens.count
      assert.ok(tries <= 4, "the emergency's own, and three") // none of which adopted anything
      await assert.rejects(again.fixture.issueX509(x509Request(), NEVER), REPLACED)
      assert.equal(again.opens.count, tries, "not again within a second")
      again.fixture.store.onWrite = () => "none"
      await again.fixture.clock.advance(1)
      again.demandNew(await again.fixture.issueX509(x509Request(), NEVER))
      assert.equal(clock.sleeping, 0)
    })
  }
}

test("[AUT-15] a key store that fails is asked three times for all who wait", async () => {
  const it = await declared()
  const asked = Array.from({ length: 20 }, () => assert.rejects(it.fixture.issueX509(x509Request(), NEVER), REPLACED))
  await it.waiting()
  it.opens.onOpen = () => {
    throw new Error("told to fail")
  }
  it.opens.release()
  await Promise.all(asked)
  assert.ok(it.opens.count <= 4, "the emergency's own, and three")
})

test("[AUT-23][ROT-63] whoever asks for a token during an emergency waits for the new keys, of whatever algorithm", async () => {
  const it = await declared({
    kind: "jwt",
    jwtAlgorithms: ["ES256", "RS256"],
    schedule: () => undefined,
    publishAhead: 0,
  })
  const { jwtKeys, issueJwt } = it.fixture
  const asked = Array.from({ length: 100 }, () => issueJwt(jwtRequest(), NEVER))
  const rs = jwtKeys.whenReplaced(() => jwtKeys.activeForSvids("RS256"), NEVER)
  await it.waiting()
  assert.deepEqual(it.fixture.signed, [])
  it.opens.release()
  const kids = new Set((await Promise.all(asked)).map(({ token }) => kidOf(token)))
  const { jwtAuthorities } = it.trust.snapshot().own
  assert.deepEqual(
    [...kids],
    jwtAuthorities.filter(({ algorithm }) => algorithm === "ES256").map(({ kid }) => kid),
  )
  assert.equal((await rs).algorithm, "RS256")
  assert.equal(it.opens.count, 2, "each key is opened once")
})

test("[AUT-23] when the new keys cannot be opened in time, it is refused as before", async () => {
  const it = await declared({ kind: "jwt", schedule: () => undefined, publishAhead: 0 })
  const refused = assert.rejects(it.fixture.issueJwt(jwtRequest(), NEVER), REPLACED)
  await it.waiting()
  await it.fixture.clock.advance(5)
  await refused
  it.opens.release()
  await Promise.all([it.emergency, it.deps.authority.follow()])
  await it.fixture.issueJwt(jwtRequest(), NEVER)
})

test("[AUT-14][AUT-15] 20,000 may wait, one more is refused at once, and they go on 64 in each turn of the event loop", async () => {
  const clock = new FakeClock(1_800_000_000)
  const done = Promise.withResolvers<void>()
  let isDone = false
  const follow = () => done.promise
  const whenReplaced = makeWhenReplaced({ follow, isDone: () => isDone, guard: makeClockGuard(clock), clock })
  let taken = 0
  const take = () => {
    if (!isDone) throw beingReplaced("being replaced")
    taken++
  }
  const all = Array.from({ length: 20_000 }, async () => whenReplaced(take, new AbortController().signal))
  assert.throws(() => whenReplaced(take, NEVER), REPLACED)
  isDone = true
  done.resolve()
  const turns: number[] = []
  for (let before = 0; taken < all.length; before = taken) {
    await setImmediate()
    turns.push(taken - before)
  }
  assert.ok(Math.max(...turns) <= 64, turns.join())
  await Promise.all(all)
})

/** An emergency in which the new root, or the new keys, cannot be opened until they are released. */
async function declared(options: ControlledOptions = {}): Promise<Declared> {
  const it = await openControlled({ rows: [] }, options)
  it.fixture.caller = { namespace: "shop", serviceAccount: "web" }
  const opens = holdOpens(it.fixture.keys)
  opens.hold()
  const old = it.trust.snapshot().own
  const emergency = it.operate.emergency(ALL, ALICE)
  await until("declared", () => it.phase() === "retiring" && opens.count === 1)
  const { sleeping } = it.fixture.clock
  return {
    ...it,
    opens,
    emergency,
    waiting: () => until("they wait", () => it.fixture.clock.sleeping === sleeping + 1),
    demandNew: ({ chain }) => {
      const now = it.fixture.clock.now()
      verifySvidChain(chain, it.trust.snapshot().own, now)
      assert.throws(() => verifySvidChain(chain, old, now))
    },
  }
}

interface Declared extends Controlled {
  readonly opens: HeldOpens
  readonly emergency: Promise<unknown>
  waiting(): Promise<void>
  demandNew(svid: X509Svid): void
}

function kidOf(token: string): unknown {
  return JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()).kid
}
