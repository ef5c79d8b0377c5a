import assert from "node:assert/strict"
import test from "node:test"
import { makeRateLimit } from "../../../../src/app/issue/rate-limit.ts"
import { IdentityError } from "../../../../src/core/errors.ts"

const LIMITS = { perIdentity: { perSecond: 2, burst: 3 }, global: { perSecond: 100, burst: 5 } }

test("lets a burst through, then refuses with the seconds to wait", () => {
  let now = 0
  const take = makeRateLimit(
    () => LIMITS,
    () => now,
  )
  for (let i = 0; i < 3; i++) take("a", 1)
  assert.throws(
    () => take("a", 1),
    (error) => isLimited(error, 1),
  )
  now = 500
  take("a", 1)
  assert.throws(
    () => take("a", 1),
    (error) => isLimited(error, 1),
  )
})

test("one identity at its limit does not hold back another, the global limit holds back all", () => {
  const take = makeRateLimit(
    () => LIMITS,
    () => 0,
  )
  for (let i = 0; i < 3; i++) take("a", 1)
  assert.throws(() => take("a", 1))
  take("b", 1)
  take("b", 1)
  assert.throws(
    () => take("c", 1),
    (error) => error instanceof IdentityError && error.message.includes("server"),
  )
})

test("a refusal takes nothing from either bucket", () => {
  let now = 0
  const take = makeRateLimit(
    () => LIMITS,
    () => now,
  )
  for (let i = 0; i < 3; i++) take("a", 1)
  for (let i = 0; i < 50; i++) assert.throws(() => take("a", 1))
  now = 1500
  for (let i = 0; i < 3; i++) take("a", 1)
})

test("follows limits that are changed while it runs", () => {
  let limits = LIMITS
  let now = 0
  const take = makeRateLimit(
    () => limits,
    () => now,
  )
  limits = { ...LIMITS, perIdentity: { perSecond: 1, burst: 1 } }
  take("a", 1)
  assert.throws(
    () => take("a", 1),
    (error) => isLimited(error, 1),
  )
  now = 1000
  take("a", 1)
})

test("who is refused for the sake of all together has not used up its own rate", () => {
  const limits = { perIdentity: { perSecond: 0.001, burst: 3 }, global: { perSecond: 1, burst: 3 } }
  let now = 0
  const take = makeRateLimit(
    () => limits,
    () => now,
  )
  take("a", 1)
  take("b", 1)
  for (let tries = 0; tries < 5; tries++) assert.throws(() => take("b", 2), { code: "rate-limited", retryAfter: 1 })
  now += 1000
  take("b", 2)
})

test("the identities that are remembered are bounded: the longest unused is forgotten", () => {
  const limits = { perIdentity: { perSecond: 0.001, burst: 1 }, global: { perSecond: 1, burst: 1_000_000 } }
  const take = makeRateLimit(
    () => limits,
    () => 0,
  )
  take("first", 1)
  for (let n = 0; n < 99_999; n++) take(`identity ${n}`, 1)
  assert.throws(() => take("first", 1), { code: "rate-limited" })
  take("one more", 1)
  take("first", 1)
  assert.throws(() => take("identity 1", 1), { code: "rate-limited" })
})

function isLimited(error: unknown, retryAfter: number): boolean {
  return error instanceof IdentityError && error.code === "rate-limited" && error.retryAfter === retryAfter
}
