import { equal, ok } from "node:assert/strict"
import { once } from "node:events"
import { test } from "node:test"
import { queryObjects } from "node:v8"
import { limitLife } from "../../../../src/app/deliver/limit-life.ts"
import { until } from "../../../support/until.ts"

test("limitLife() aborts with a TimeoutError when its time has come, also through a signal that follows it", async () => {
  using life = limitLife(1)
  const followed = AbortSignal.any([new AbortController().signal, life.signal])
  await once(followed, "abort")
  ok(followed.reason instanceof DOMException)
  equal(followed.reason.name, "TimeoutError")
})

test("limitLife() leaves nothing of a life that was over before, also where a signal followed it", async () => {
  const stop = new AbortController()
  const before = signals()
  for (let i = 0; i < 1000; i++) {
    using life = limitLife(DAY)
    ok(!AbortSignal.any([stop.signal, life.signal]).aborted)
  }
  await until("they are gone", () => signals() - before < 100)
})

/** After a full collection. */
function signals(): number {
  return queryObjects(AbortSignal, { format: "count" })
}

const DAY = 86_400_000
