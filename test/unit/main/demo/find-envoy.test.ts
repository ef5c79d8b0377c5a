import assert from "node:assert/strict"
import { chmod, mkdir, utimes, writeFile } from "node:fs/promises"
import { dirname } from "node:path"
import { test } from "node:test"
import { findEnvoy } from "../../../../src/main/demo/find-envoy.ts"
import { makeScratch } from "../../../support/scratch.ts"

test("finds no Envoy where there is none", async () => {
  await using folder = await makeScratch("find")
  assert.equal(await findEnvoy({ ASSAY_PEER_CACHE: folder.path("none"), PATH: folder.directory }), undefined)
})

test("prefers the Envoy of the tests that was used last, and passes by unfinished entries", async () => {
  await using folder = await makeScratch("find")
  const binary = (entry: string) => folder.path("cache", entry, "envoy/_bin/envoy")
  const [older, newer, unfinished] = [
    "envoy-00000000000000a0",
    "envoy-00000000000000b0",
    "envoy-00000000000000c0.tmp-1",
  ]
  for (const [entry, used] of [
    [newer, 2_000],
    [older, 1_000],
    [unfinished, 3_000],
  ] as const) {
    await writeProgram(binary(entry))
    await utimes(folder.path("cache", entry), used, used)
  }
  await writeProgram(folder.path("bin/envoy"))
  const environment = { ASSAY_PEER_CACHE: folder.path("cache"), PATH: folder.path("bin") }
  assert.equal(await findEnvoy(environment), binary(newer))
})

test("takes an Envoy on the PATH, if it can be run", async () => {
  await using folder = await makeScratch("find")
  const [plain, program] = [folder.path("a/envoy"), folder.path("b/envoy")]
  await writeProgram(plain)
  await chmod(plain, 0o644)
  await writeProgram(program)
  await mkdir(folder.path("folder/envoy"), { recursive: true })
  const path = ["folder", "a", "b"].map((name) => folder.path(name)).join(":")
  assert.equal(await findEnvoy({ XDG_CACHE_HOME: folder.directory, PATH: path }), program)
})

async function writeProgram(file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, "#!/bin/sh\n", { mode: 0o755 })
}
