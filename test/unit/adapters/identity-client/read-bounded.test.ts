import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { test } from "node:test"
import { promisify } from "node:util"
import { readBounded } from "../../../../src/adapters/identity-client/read-bounded.ts"
import { makeScratch } from "../../../support/scratch.ts"

const MAX = 256 * 1024

for (const size of [0, 1, 16 * 1024, 16 * 1024 + 1, 100_000, MAX]) {
  test(`readBounded() reads ${size} bytes whole`, async () => {
    await using scratch = await makeScratch("bounded")
    const text = "abcdefg".repeat(Math.ceil(size / 7)).slice(0, size)
    await writeFile(scratch.path("file"), text)
    assert.equal(await readBounded(scratch.path("file"), MAX), text)
  })
}

for (const max of [1024, 16 * 1024, MAX]) {
  test(`readBounded() refuses one byte more than ${max}, and bytes without end`, async () => {
    await using scratch = await makeScratch("bounded")
    await writeFile(scratch.path("file"), Buffer.alloc(max + 1, "a"))
    for (const file of [scratch.path("file"), "/dev/zero"]) {
      await assert.rejects(readBounded(file, max, "it"), {
        code: "not-ready",
        reason: "file-unreadable",
        message: `it is longer than ${max / 1024} KiB`,
      })
    }
  })
}

test("readBounded() reads what comes through a pipe in parts", async () => {
  await using scratch = await makeScratch("bounded")
  const pipe = scratch.path("pipe")
  await promisify(execFile)("mkfifo", [pipe])
  const text = "p".repeat(100_000) // more than a pipe holds
  const [read] = await Promise.all([readBounded(pipe, MAX), writeFile(pipe, text)])
  assert.equal(read, text)
})
