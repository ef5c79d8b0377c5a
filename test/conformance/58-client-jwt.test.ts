import assert from "node:assert/strict"
import { test } from "node:test"
import { type AheadCache, makeAheadCache } from "../../src/client/ahead-cache.ts"
import { openJwtSource } from "../../src/client/client.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { type LiveWorkload, openLiveWorkload } from "../support/live-workload.ts"
import { refusal } from "../support/refusal.ts"
import { makeTestCa } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

const WEB = "spiffe://example.org/ns/demo/sa/web"
const NOW = 1_800_000_000
const DEADLINE = { timeout: 20_000 }
const ca = makeTestCa()
const key = makeJwtKey()

test("[CLT-10] [CLT-11] fetches JWT-SVIDs, and validates those of others", DEADLINE, async () => {
  await using web = await openLiveWorkload(WEB, ca, key)
  await using source = await openJwtSource({ socket: web.socket })
  const { token, spiffeId, audience, expiresAt } = await source.fetch("db")
  assert.deepEqual([spiffeId, audience], [WEB, ["db"]])
  assert.ok(expiresAt > Date.now() / 1000)
  const valid = await source.validate(token, "db")
  assert.deepEqual([valid.spiffeId, valid.claims["sub"]], [WEB, WEB])
  await assert.rejects(source.validate(token, "web"), refusal("malformed"))
})

test("[CLT-10] keeps its bundles while the Workload API is away, and takes the next ones", DEADLINE, async () => {
  await using web = await openLiveWorkload(WEB, ca, key)
  const problems: IdentityError[] = []
  await using source = await openJwtSource({ socket: web.socket, onProblem: (error) => problems.push(error) })
  const { token } = await source.fetch("db")
  web.source.deny()
  await until("the denial", () => problems.some(({ code }) => code === "no-identity"))
  assert.equal((await source.validate(token, "db")).spiffeId, WEB)
})

test(
  "[CLT-10] says why there are no bundles within the deadline, and refuses options that are none",
  DEADLINE,
  async () => {
    await using web = await openLiveWorkload(WEB, ca, key)
    web.source.deny()
    await assert.rejects(openJwtSource({ socket: web.socket, deadline: 3000 }), refusal("no-identity"))
    for (const clockSkew of [-1, 61, Number.NaN]) {
      await assert.rejects(openJwtSource({ socket: web.socket, clockSkew }), refusal("malformed"))
    }
  },
)

test("[CLT-12] one fetch for many who ask, and audiences are the same in any order", DEADLINE, async () => {
  await using web = await openLiveWorkload(WEB, ca, key)
  const asked = countCalls(web)
  await using source = await openJwtSource({ socket: web.socket })
  const tokens = await Promise.all(Array.from({ length: 20 }, () => source.fetch(["db", "api"])))
  tokens.push(await source.fetch(["api", "db", "db"]))
  assert.equal(new Set(tokens.map(({ token }) => token)).size, 1)
  assert.deepEqual(asked, ["api db"])
  await source.fetch("db")
  await source.fetch("db", { spiffeId: WEB })
  assert.deepEqual(asked, ["api db", "db", "db"])
  await assert.rejects(source.fetch([]), refusal("malformed"))
  await assert.rejects(source.fetch(["db", ""]), refusal("malformed"))
  await assert.rejects(source.fetch("db", { spiffeId: "web" }), refusal("malformed"))
})

test("[CLT-12] does not take a token that is not the one it asked for", DEADLINE, async () => {
  await using web = await openLiveWorkload(WEB, ca, key)
  const exp = Math.floor(Date.now() / 1000) + 300
  const answer = (claims: object) => [
    {
      spiffeId: parseSpiffeId(WEB),
      hint: "",
      token: key.token({ sub: WEB, aud: "db", exp, ...claims }),
      expiresAt: exp,
    },
  ]
  await using source = await openJwtSource({ socket: web.socket })
  web.source.answerJwt = () => answer({ aud: "web" })
  await assert.rejects(source.fetch("db"), refusal("internal"))
  web.source.answerJwt = () => answer({ sub: `${WEB}2` })
  await assert.rejects(source.fetch("db", { spiffeId: WEB }), refusal("internal"))
})

test("[CLT-12] fetches anew at a share of the life from 0.5 to 0.8, and serves the one before meanwhile", async () => {
  for (const [byte, due] of [
    [0x00, 500],
    [0xff, 799],
  ] as const) {
    const { clock, cache, fetched, get } = rig(byte)
    assert.equal(await get(), "1")
    await clock.advance(due - 1)
    assert.equal(await get(), "1")
    assert.equal(fetched.length, 1)
    await clock.advance(1)
    assert.equal(await get(), "1")
    await until("the next one", () => fetched.length === 2)
    assert.equal(await get(), "2")
    cache[Symbol.dispose]()
  }
})

test("[CLT-12] asks for nothing that nobody wants any more", async () => {
  const { clock, fetched, get } = rig()
  await get()
  await clock.advance(5000)
  assert.equal(fetched.length, 1)
  assert.equal(await get(), "2")
})

test("[CLT-12] keeps at most 1024 tokens, those that were used last", async () => {
  const { cache } = rig()
  let calls = 0
  const get = (name: string) => cache.get(name, async () => ({ name: String(++calls), expiresAt: NOW + 1000 }))
  for (let i = 0; i < 1024; i++) await get(`k${i}`)
  await get("k0")
  await get("k1024")
  assert.equal(calls, 1025)
  await get("k0")
  assert.equal(calls, 1025)
  await get("k1")
  assert.equal(calls, 1026)
})

test("[CLT-13] serves a token through an outage until it expires, and comes back by itself", async () => {
  const { clock, fetched, get, fail } = rig()
  await get()
  fail(new IdentityError("not-ready", "away"))
  await clock.advance(900)
  for (let i = 0; i < 9; i++) {
    assert.equal(await get(), "1")
    await clock.advance(10)
  }
  assert.ok(fetched.length > 2)
  await clock.advance(10)
  await assert.rejects(get(), refusal("not-ready"))
  fail(undefined)
  await clock.advance(10)
  assert.equal(await get(), String(fetched.length))
})

test("[CLT-13] a refusal ends a token that is held", async () => {
  const { clock, get, fail } = rig()
  await get()
  fail(new IdentityError("policy-denied", "no more"))
  await clock.advance(900)
  await get()
  await clock.advance(0)
  await assert.rejects(get(), refusal("policy-denied"))
})

test("[CLT-13] after a failure no fetch begins for a while that grows, and who asks gets the failure", async () => {
  const { clock, fetched, get, fail } = rig(0xff)
  fail(new IdentityError("not-ready", "away"))
  const waits: number[] = []
  for (let i = 0; i < 8; i++) {
    await assert.rejects(get(), refusal("not-ready"))
    const count = fetched.length
    let waited = 0
    for (; fetched.length === count; waited += 0.1) {
      await clock.advance(0.1)
      await assert.rejects(get(), refusal("not-ready"))
    }
    waits.push(Math.round(waited * 10) / 10)
  }
  assert.deepEqual(waits, [0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10])
})

test("[CLT-13] who waits no longer does not end the fetch of the others", async () => {
  const { cache } = rig()
  const gate = Promise.withResolvers<{ name: string; expiresAt: number }>()
  const stop = new AbortController()
  const gone = cache.get("k", () => gate.promise, stop.signal)
  const stays = cache.get("k", () => gate.promise)
  stop.abort()
  await assert.rejects(gone, refusal("cancelled"))
  gate.resolve({ name: "1", expiresAt: NOW + 10 })
  assert.equal((await stays).name, "1")
  cache[Symbol.dispose]()
  await assert.rejects(
    cache.get("k", () => gate.promise),
    refusal("cancelled"),
  )
})

test("[CLT-13] what has expired when it comes is no token", async () => {
  const { cache } = rig()
  await assert.rejects(
    cache.get("k", async () => ({ name: "1", expiresAt: NOW })),
    refusal("not-ready"),
  )
})

interface Rig {
  readonly clock: FakeClock
  readonly cache: AheadCache<{ readonly name: string; readonly expiresAt: number }>
  /** One entry for each fetch. */
  readonly fetched: readonly number[]
  /** The number of the fetch that brought what is served. */
  readonly get: () => Promise<string>
  readonly fail: (error: IdentityError | undefined) => void
}

/** Tokens of 1000 s. @param byte of which random numbers consist */
function rig(byte = 0): Rig {
  const clock = new FakeClock(NOW)
  const cache: Rig["cache"] = makeAheadCache({ clock, random: (bytes) => Buffer.alloc(bytes, byte) })
  const fetched: number[] = []
  let failure: IdentityError | undefined
  const fetch = async () => {
    fetched.push(clock.now())
    if (failure !== undefined) throw failure
    return { name: String(fetched.length), expiresAt: clock.now() + 1000 }
  }
  return {
    clock,
    cache,
    fetched,
    get: async () => (await cache.get("k", fetch)).name,
    fail: (error) => {
      failure = error
    },
  }
}

/** The audiences of each call from now on. */
function countCalls({ source }: LiveWorkload): string[] {
  const asked: string[] = []
  const answer = source.answerJwt
  source.answerJwt = (audience, spiffeId) => {
    asked.push(audience.join(" "))
    return answer(audience, spiffeId)
  }
  return asked
}
