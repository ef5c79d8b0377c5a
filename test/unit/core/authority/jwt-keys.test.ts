import assert from "node:assert/strict"
import test from "node:test"
import fc from "fast-check"
import {
  activateJwtKey,
  nextDisusedKeyStep,
  nextJwtKeyCheck,
  nextJwtKeyStep,
  retireJwtKey,
  type ScheduledKey,
} from "../../../../src/core/authority/jwt-keys.ts"

const SCHEDULE = { keyTtl: 1000, publishAhead: 200, retiredGrace: 50 }

test("publishes a first key when there is none", () => {
  assert.deepEqual(nextJwtKeyStep([], 0, SCHEDULE), { kind: "publish" })
})

test("announces the next key ahead of the end of the active one, and not before", () => {
  const keys: ScheduledKey[] = [{ keyId: "a", algorithm: "ES256", state: "active", since: 0 }]
  assert.equal(nextJwtKeyStep(keys, 799, SCHEDULE), undefined)
  assert.deepEqual(nextJwtKeyStep(keys, 800, SCHEDULE), { kind: "publish" })
})

test("activates a next key only after it was published long enough, however late that is", () => {
  const keys: ScheduledKey[] = [
    { keyId: "a", algorithm: "ES256", state: "active", since: 0 },
    { keyId: "b", algorithm: "ES256", state: "next", since: 950 },
  ]
  assert.equal(nextJwtKeyStep(keys, 1149, SCHEDULE), undefined)
  assert.deepEqual(nextJwtKeyStep(keys, 1150, SCHEDULE), { kind: "activate", keyId: "b" })
})

test("keeps a retired key published until the last token it signed is out of date", () => {
  const keys: ScheduledKey[] = [
    { keyId: "a", algorithm: "ES256", state: "retired", since: 1000 },
    { keyId: "b", algorithm: "ES256", state: "active", since: 1000 },
  ]
  assert.equal(nextJwtKeyStep(keys, 1049, SCHEDULE), undefined)
  assert.deepEqual(nextJwtKeyStep(keys, 1050, SCHEDULE), { kind: "remove", keyId: "a" })
})

test("refuses to activate a key that is not next", () => {
  assert.throws(
    () => activateJwtKey([{ keyId: "a", algorithm: "ES256", state: "active", since: 0 }], "a", 1),
    RangeError,
  )
})

test("over any walk of time there is one active key, it was published ahead, and a retired one stays for its grace", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 60 }), (pauses) => {
      let now = 0
      let keys: ScheduledKey[] = []
      let made = 0
      const published = new Map<string, number>()
      const retired = new Map<string, number>()
      for (const pause of [0, ...pauses]) {
        now += pause
        for (let step = nextJwtKeyStep(keys, now, SCHEDULE); step; step = nextJwtKeyStep(keys, now, SCHEDULE)) {
          if (step.kind === "publish") {
            const keyId = `k${made++}`
            published.set(keyId, now)
            keys = [...keys, { keyId, algorithm: "ES256", state: keys.length === 0 ? "active" : "next", since: now }]
          } else if (step.kind === "activate") {
            const { keyId } = step
            if (keyId !== "k0") assert.ok(now - (published.get(keyId) ?? now) >= SCHEDULE.publishAhead)
            keys = activateJwtKey(keys, keyId, now)
            for (const key of keys) if (key.state === "retired" && !retired.has(key.keyId)) retired.set(key.keyId, now)
          } else {
            const { keyId } = step
            assert.ok(now - (retired.get(keyId) ?? now) >= SCHEDULE.retiredGrace)
            keys = keys.filter((key) => key.keyId !== keyId)
          }
        }
        assert.equal(keys.filter((key) => key.state === "active").length, 1)
        assert.ok(keys.filter((key) => key.state === "next").length <= 1)
        assert.ok(nextJwtKeyCheck(keys, now, SCHEDULE) > now)
      }
    }),
  )
})

test("takes no key of another algorithm out of use", () => {
  const keys: ScheduledKey[] = [
    { keyId: "a", algorithm: "ES256", state: "active", since: 0 },
    { keyId: "r", algorithm: "RS256", state: "active", since: 0 },
    { keyId: "b", algorithm: "ES256", state: "next", since: 0 },
  ]
  const states = activateJwtKey(keys, "b", 1).map(({ state }) => state)
  assert.deepEqual(states, ["retired", "active", "active"])
})

test("an algorithm that is not used any more signs on until another signs and its own time is over", () => {
  const keys: ScheduledKey[] = [{ keyId: "a", algorithm: "ES256", state: "active", since: 0 }]
  assert.equal(nextDisusedKeyStep(keys, 5000, SCHEDULE, false), undefined)
  assert.equal(nextDisusedKeyStep(keys, 999, SCHEDULE, true), undefined)
  assert.deepEqual(nextDisusedKeyStep(keys, 1000, SCHEDULE, true), { kind: "retire", keyId: "a" })
  const retired = retireJwtKey(keys, "a", 1000)
  assert.equal(nextDisusedKeyStep(retired, 1049, SCHEDULE, true), undefined)
  assert.deepEqual(nextDisusedKeyStep(retired, 1050, SCHEDULE, true), { kind: "remove", keyId: "a" })
  const next: ScheduledKey[] = [{ keyId: "n", algorithm: "ES256", state: "next", since: 0 }]
  assert.deepEqual(nextDisusedKeyStep(next, 1, SCHEDULE, true), { kind: "remove", keyId: "n" })
})

test("a first key of a second algorithm waits until it was published long enough", () => {
  const keys: ScheduledKey[] = [{ keyId: "r", algorithm: "RS256", state: "next", since: 100 }]
  assert.equal(nextJwtKeyStep(keys, 299, SCHEDULE), undefined)
  assert.deepEqual(nextJwtKeyStep(keys, 300, SCHEDULE), { kind: "activate", keyId: "r" })
})
