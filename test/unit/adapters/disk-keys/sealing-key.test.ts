import assert from "node:assert/strict"
import { test } from "node:test"
import { parseSealingKey } from "../../../../src/adapters/disk-keys/sealing-key.ts"
import { refusal } from "../../../support/refusal.ts"

test("reads 32 bytes as hex or base64, with white space around", () => {
  const bytes = Buffer.alloc(32, 0xfb)
  for (const text of [bytes.toString("hex"), bytes.toString("hex").toUpperCase(), `${bytes.toString("base64")}\n`]) {
    assert.deepEqual(
      parseSealingKey(text).expose((key) => Buffer.from(key)),
      bytes,
    )
  }
})

test("refuses every other length and alphabet", () => {
  const short = Buffer.alloc(31, 1)
  for (const text of ["", short.toString("hex"), short.toString("base64"), "z".repeat(64), "ab".repeat(33)]) {
    assert.throws(() => parseSealingKey(text), refusal("malformed"), text)
  }
})
