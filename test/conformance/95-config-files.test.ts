import assert from "node:assert/strict"
import { mkdir, writeFile } from "node:fs/promises"
import { after, before, test } from "node:test"
import { type Ended, runAssay } from "../support/run-assay.ts"
import { makeScratch, type Scratch } from "../support/scratch.ts"
import { makeServerSetup, type ServerSetup } from "../support/server-setup.ts"

let scratch: Scratch
let setup: ServerSetup
before(async () => {
  scratch = await makeScratch()
  setup = await makeServerSetup(scratch.directory, { jwt: { issuer: "https://assay.prod.example" } })
  await mkdir(scratch.path("folder"))
  await writeFile(scratch.path("text"), "nonsense\n")
})
after(() => scratch[Symbol.asyncDispose]())

const ELSEWHERE = ["status", "--server", "https://localhost:1"]
/** Whatever a file is for, and however it is named. */
const COMMANDS: readonly (readonly [what: string, exitCode: number, ask: (file: string) => readonly string[]])[] = [
  ["configuration file", 66, (file) => ["validate", "-c", file]],
  ["configuration file", 66, (file) => ["validate", "--kind", "agent", "-c", file]],
  ["configuration file", 1, (file) => ["server", "-c", file]],
  ["configuration file", 1, (file) => ["agent", "-c", file]],
  ["configuration file", 1, (file) => ["init", "-c", file]],
  ["configuration file", 1, (file) => ["backup", "-c", file, "--to", "/nonexistent/copy.db"]],
  ["configuration file", 1, (file) => ["bundle", "show", "-c", file]],
  ["configuration file", 1, (file) => ["status", "-c", file]],
  ["configuration file", 1, (file) => ["audit", "verify", "-c", file]],
  ["token file", 66, (file) => ["explain", "-c", setup.configFile, "--token", file]],
  ["token file", 1, (file) => [...ELSEWHERE, "--token-file", file]],
  ["bundle file", 1, (file) => [...ELSEWHERE, "--token-file", scratch.path("text"), "--ca", file]],
  ["CA file", 1, (file) => ["oidc", "kube-config", "-c", setup.configFile, "--audience", "a", "--ca-file", file]],
]

for (const [index, [what, exitCode, ask]] of COMMANDS.entries()) {
  test(`[CFG-34] command ${index + 1} that reads a ${what} says what a missing file and a folder were to be, and what to do`, async () => {
    const missing = await runAssay(ask(scratch.path("none")))
    demandNamed(missing, exitCode, `${what} ${scratch.path("none")} cannot be read (ENOENT)`)
    const folder = await runAssay(ask(scratch.path("folder")))
    demandNamed(folder, exitCode, `${what} ${scratch.path("folder")} cannot be read (EISDIR): it is a folder`)
  })
}

test("[CFG-34] a file that holds something else than was expected is named, too", async () => {
  const text = scratch.path("text")
  const noToken = await runAssay([...ELSEWHERE, "--token-file", setup.configFile])
  assert.ok(noToken.err.includes(`token file ${setup.configFile} holds what cannot be a token (next: `), noToken.err)
  const noBundle = await runAssay([...ELSEWHERE, "--token-file", text, "--ca", text])
  assert.ok(noBundle.err.includes(`bundle file ${text}: PEM has no block (next: name a file with PEM`), noBundle.err)
})

function demandNamed({ code, out, err }: Ended, exitCode: number, expected: string): void {
  assert.deepEqual([code, out], [exitCode, ""], err)
  assert.ok(err.startsWith(`assay: file-unreadable: ${expected}`), err)
  assert.match(err, /^[^\n]* \(next: [^\n]+\)\n$/)
}
