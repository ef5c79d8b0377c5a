import assert from "node:assert/strict"
import { test } from "node:test"
import { ThreadLoad } from "../../../../src/adapters/sqlite/thread-load.ts"

test("is high once the thread computed for more than three quarters of 20 ms, with what others did for it", () => {
  let now = 0
  let used = 0
  const load = new ThreadLoad(
    () => now,
    () => used,
  )
  const pass = (millis: number, micros: number): boolean => {
    now += millis
    used += micros
    return load.isHigh
  }
  assert.equal(pass(10, 10_000), false, "too early to say")
  assert.equal(pass(10, 10_000), true)
  assert.equal(pass(10, 0), true, "as before")
  assert.equal(pass(10, 10_000), false)
  load.lighten(10_000)
  assert.equal(pass(20, 10_000), true)
  assert.equal(pass(20, 10_000), false, "only once")
})
