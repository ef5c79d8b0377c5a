import { deepEqual, equal, throws } from "node:assert/strict"
import { test } from "node:test"
import {
  notBeforeOf,
  parseAudience,
  parseNumericDate,
  parseOptionalNumericDate,
} from "../../../../src/core/jose/registered-claims.ts"
import { parseJson } from "../../../../src/core/json.ts"

test("[JOS-09] a date is a finite number from 0 to the year 9999, its fraction cut off", () => {
  for (const [json, date] of [
    ["0", 0],
    ["1.9", 1],
    ["1e3", 1000],
    ["253402300799", 253402300799],
  ] as const) {
    equal(parseNumericDate(parseJson(json), "exp"), date)
  }
  for (const json of ["-1", "-0.5", "1e400", "-1e400", "253402300800", '"1"', "null", "true", "[1]", "{}"]) {
    throws(() => parseNumericDate(parseJson(json), "exp"), { code: "malformed" }, json)
  }
  throws(() => parseNumericDate(undefined, "exp"), { code: "malformed" })
  throws(() => parseNumericDate(Number.NaN, "exp"), { code: "malformed" })
  equal(parseOptionalNumericDate(undefined, "nbf"), undefined)
  throws(() => parseOptionalNumericDate(null, "nbf"), { code: "malformed" })
})

test("[JW-10] a token is good 10 s before it was issued, but no more than 24 hours before it expires", () => {
  equal(notBeforeOf({ iat: 100_000, exp: 100_300 }), 99_990)
  equal(notBeforeOf({ iat: 100_000, exp: 186_395 }), 99_995)
  equal(notBeforeOf({ iat: 100_000, exp: 186_400 }), 100_000)
  equal(notBeforeOf({ iat: 100_000, exp: 200_000 }), 100_000)
})

test("[JOS-10] an audience is a text or a flat list of 1 to 16 texts", () => {
  deepEqual(parseAudience("a"), ["a"])
  deepEqual(parseAudience(["a", "b"]), ["a", "b"])
  const sixteen = Array.from({ length: 16 }, (_, i) => `${i}`)
  deepEqual(parseAudience(sixteen), sixteen)
  for (const value of [
    undefined,
    null,
    "",
    [],
    [""],
    ["a", 1],
    [["a"]],
    { a: "a" },
    [...sixteen, "x"],
    "x".repeat(1025),
  ]) {
    throws(() => parseAudience(value), { code: "malformed" })
  }
})
