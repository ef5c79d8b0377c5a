import assert from "node:assert/strict"
import { stat, writeFile } from "node:fs/promises"
import { test } from "node:test"
import { makePrivateFolder } from "../../../../src/main/server/private-folder.ts"
import { makeScratch } from "../../../support/scratch.ts"

test("makes a folder and what is missing above it for this user alone, and leaves one that is there", async () => {
  await using scratch = await makeScratch()
  for (let i = 0; i < 2; i++) await makePrivateFolder(scratch.path("a", "b"), "keys.directory")
  assert.equal((await stat(scratch.path("a"))).mode & 0o777, 0o700)
  assert.equal((await stat(scratch.path("a", "b"))).mode & 0o777, 0o700)
})

test("a folder that can never be made is a failure, not a search without end", { timeout: 30_000 }, async () => {
  await using scratch = await makeScratch()
  await writeFile(scratch.path("file"), "")
  for (const folder of ["/proc/assay/keys", scratch.path("file"), scratch.path("file", "keys")]) {
    await assert.rejects(makePrivateFolder(folder, "keys.directory"), {
      code: "not-ready",
      reason: "folder-unusable",
      message: /of keys\.directory cannot be made \(E/,
    })
  }
})
