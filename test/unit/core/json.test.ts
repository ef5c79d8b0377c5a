import assert from "node:assert/strict"
import test from "node:test"
import fc from "fast-check"
import { IdentityError } from "../../../src/core/errors.ts"
import { parseJson, parseJsonObject } from "../../../src/core/json.ts"

test("agrees with JSON.parse on every value that has no member twice", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value)
      assert.deepEqual(parseJson(text), JSON.parse(text))
    }),
  )
})

for (const text of [
  '{"a":1,"a":2}',
  '{"a":1,"\\u0061":2}',
  '[{"x":{"b":[],"b":[]}}]',
  '{"a":{"a":1},"b":2,"a" \n: 3}',
  '{"__proto__":1,"__proto__":2}',
]) {
  test(`refuses a member name that an object has twice: ${JSON.stringify(text)}`, () => {
    assert.throws(() => parseJson(text), isMalformed)
  })
}

test("accepts one name in different objects, and strings that look like members", () => {
  parseJson('{"a":{"a":1},"b":[{"a":1},{"a":1}],"c":"\\"a\\":1","d":"a","e":["a","a"]}')
})

test("refuses what JSON.parse refuses, and nesting deeper than 32", () => {
  for (const text of ["", "{", "nul", '{"a":1,}', "1 2"]) assert.throws(() => parseJson(text), isMalformed)
  parseJson(`${"[".repeat(32)}${"]".repeat(32)}`)
  assert.throws(() => parseJson(`${"[".repeat(33)}${"]".repeat(33)}`), isMalformed)
})

test("an object is asked for: arrays, null and scalars are refused", () => {
  for (const text of ["[]", "null", "1", '"a"']) assert.throws(() => parseJsonObject(text), isMalformed)
  assert.deepEqual(parseJsonObject('{"a":1}'), { a: 1 })
})

function isMalformed(error: unknown): boolean {
  return error instanceof IdentityError && error.code === "malformed"
}
