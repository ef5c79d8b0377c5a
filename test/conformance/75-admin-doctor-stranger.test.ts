import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { chmod } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"

test("[ADM-38] assay doctor says what its user may not read and as whom to run it, and nothing worse", async () => {
  await using scratch = await makeScratch()
  const isRoot = process.getuid?.() === 0
  // Whoever is not root is a stranger to root's folder.
  const rootsOwn = { storage: { sqlite: "/root/assay.db" }, keys: { sealing_key_file: "/root/sealing.key" } }
  const setup = await makeServerSetup(scratch.directory, isRoot ? {} : rootsOwn)
  if (isRoot) await initTrustDomain(setup)
  await chmod(setup.folder, 0o755)
  const { code, out, err } = await runAsStranger(["doctor", "-c", setup.configFile])
  assert.equal(code, 1, out + err)
  for (const check of ["sealing-key", "store"]) {
    const said = `^warning   ${check}: not looked at: user \\d+ may not read \\S+, which belongs to user 0\n +next: run it as root or`
    assert.match(out, new RegExp(said, "m"))
  }
  assert.doesNotMatch(out, /^critical/m)
})

/** Root becomes nobody, once all that the command loads was loaded: nobody may not read the checkout. */
async function runAsStranger(args: readonly string[]) {
  const script = `
    const { runCli } = await import(${JSON.stringify(CLI)})
    const args = ${JSON.stringify(args)}
    await runCli(args)
    if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534) }
    process.exitCode = undefined
    console.log(${JSON.stringify(MARK)})
    process.exitCode = await runCli(args)`
  const { promise, resolve } = Promise.withResolvers<{ code: unknown; out: string; err: string }>()
  const child = execFile(process.execPath, ["--input-type=module", "-e", script], (_, stdout, err) =>
    resolve({ code: child.exitCode, out: stdout.split(`${MARK}\n`)[1] ?? stdout, err }),
  )
  return promise
}

const CLI = join(import.meta.dirname, "../../src/main/cli.ts")
const MARK = "---- from here on a stranger"
