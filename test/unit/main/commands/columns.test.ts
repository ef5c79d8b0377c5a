import assert from "node:assert/strict"
import { test } from "node:test"
import { columns } from "../../../../src/main/commands/columns.ts"

test("pads each cell to the widest of its column, but not the end of a line", () => {
  const rows = [
    ["NAME", "AGE", "NOTE"],
    ["a", "1000", ""],
    ["longer", "7"],
  ]
  assert.deepEqual(columns(rows), ["NAME    AGE   NOTE", "a       1000", "longer  7"])
  assert.deepEqual(columns([]), [])
})
