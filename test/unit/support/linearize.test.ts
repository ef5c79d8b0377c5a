import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { type Call, linearize, type SequentialModel } from "../../support/linearize.ts"

type Input = { readonly kind: "write"; readonly value: number } | { readonly kind: "read" }
type Register = Call<Input, number>

/** Holds one number, at first 0. */
const REGISTER: SequentialModel<number, Input, number> = {
  initial: 0,
  next: (state, input, output) => {
    if (input.kind === "write") return input.value
    return output === undefined || output === state ? state : undefined
  },
  keyOf: String,
}

const write = (begun: number, ended: number, value: number): Register => {
  return { client: "w", begun, ended, input: { kind: "write", value }, output: ended === UNKNOWN ? undefined : 0 }
}
const read = (begun: number, ended: number, output: number): Register => {
  return { client: "r", begun, ended, input: { kind: "read" }, output }
}
const UNKNOWN = Number.POSITIVE_INFINITY

const HISTORIES: readonly (readonly [title: string, linearizable: boolean, calls: readonly Register[]])[] = [
  ["nothing", true, []],
  ["a read of what was written", true, [write(1, 2, 7), read(3, 4, 7)]],
  ["a read of what was there before", false, [write(1, 2, 7), read(3, 4, 0)]],
  ["a read beside a write, of the old", true, [write(1, 4, 7), read(2, 3, 0)]],
  ["a read beside a write, of the new", true, [write(1, 4, 7), read(2, 3, 7)]],
  ["two reads beside a write, new and then old", false, [write(1, 6, 7), read(2, 3, 7), read(4, 5, 0)]],
  ["two reads beside a write, old and then new", true, [write(1, 6, 7), read(2, 3, 0), read(4, 5, 7)]],
  ["a read of what nobody wrote", false, [write(1, 2, 7), read(3, 4, 8)]],
  [
    "two writes at once, and reads that disagree on their order",
    false,
    [write(1, 4, 7), write(2, 5, 8), read(6, 7, 7), read(8, 9, 8)],
  ],
  ["a write of unknown outcome that is never seen", true, [write(1, UNKNOWN, 7), read(2, 3, 0), read(4, 5, 0)]],
  ["a write of unknown outcome that is seen late", true, [write(1, UNKNOWN, 7), read(2, 3, 0), read(4, 5, 7)]],
  ["a write of unknown outcome that is seen and gone", false, [write(1, UNKNOWN, 7), read(2, 3, 7), read(4, 5, 0)]],
  ["a write of unknown outcome that is seen before it began", false, [read(1, 2, 7), write(3, UNKNOWN, 7)]],
]

for (const [title, linearizable, calls] of HISTORIES) {
  test(`${linearizable ? "accepts" : "refuses"} ${title}`, () => {
    assert.equal(linearize(calls, REGISTER).kind, linearizable ? "linearizable" : "not-linearizable")
  })
}

test("an order that it finds has each call once, none before one that had ended, and gives what was seen", () => {
  const verdict = linearize([write(1, 4, 7), read(2, 3, 7), write(5, 9, 8), read(6, 7, 7), read(8, 10, 8)], REGISTER)
  assert.ok(verdict.kind === "linearizable")
  assert.deepEqual(
    verdict.order.map(({ begun }) => begun),
    [1, 2, 6, 5, 8],
  )
})

test("names the calls that no order has a place for", () => {
  const late = read(3, 4, 0)
  const verdict = linearize([write(1, 2, 7), late], REGISTER)
  assert.ok(verdict.kind === "not-linearizable")
  assert.deepEqual([verdict.order.length, verdict.stuck], [1, [late]])
})

test("accepts whatever a real register gave, and refuses it once a read is of a value that nobody wrote", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(3), fc.nat(4)), { minLength: 1, maxLength: 25 }), (steps) => {
      const calls = played(steps)
      assert.equal(linearize(calls, REGISTER).kind, "linearizable")
      assert.equal(linearize([...calls, read(10_000, 10_001, 99)], REGISTER).kind, "not-linearizable")
    }),
  )
})

test("says of any short history what a search through all orders says", () => {
  const call = fc.tuple(fc.constantFrom("read", "write"), fc.nat(2), fc.nat(12), fc.nat(6), fc.boolean())
  fc.assert(
    fc.property(fc.array(call, { maxLength: 6 }), (steps) => {
      const calls = steps.map(([kind, value, begun, takes, known], i) => {
        const from = begun + i / 100
        if (kind === "read") return read(from, from + takes + 0.001, value)
        return write(from, known ? from + takes + 0.001 : UNKNOWN, value)
      })
      assert.equal(linearize(calls, REGISTER).kind === "linearizable", hasOrder(calls, REGISTER.initial))
    }),
    { numRuns: 2000 },
  )
})

/** Tries every order, with nothing that makes it quick. */
function hasOrder(left: readonly Register[], state: number): boolean {
  if (left.every(({ ended }) => ended === UNKNOWN)) return true
  return left.some((call) => {
    const others = left.filter((other) => other !== call)
    if (others.some(({ ended }) => ended < call.begun)) return false
    const after = REGISTER.next(state, call.input, call.output)
    return after !== undefined && hasOrder(others, after)
  })
}

/** Calls that take effect one after the other, each with a begin and an end that reach into its neighbours' time. */
function played(steps: readonly (readonly [number, number, number])[]): readonly Register[] {
  let state = 0
  return steps.map(([early, late, value], i) => {
    const at = (i + 4) * 100
    const [begun, ended] = [at - early * 100 - i / 100, at + late * 100 + 50 + i / 100]
    if (value === 0) return read(begun, ended, state)
    state = value
    return write(begun, ended, value)
  })
}
