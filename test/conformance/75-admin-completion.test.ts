import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { test } from "node:test"
import { promisify } from "node:util"
import { COMMANDS } from "../../src/main/command-table.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"

/** What bash offers for a line, of which the last word is being written. */
async function offered(script: string, ...words: readonly string[]): Promise<readonly string[]> {
  const line = ["assay", ...words]
  const program = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _assay
    complete -p assay >&2; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr } = await run("bash", ["--norc", "-c", program, "bash", script, ...line])
  assert.equal(stderr.trim(), "complete -o default -F _assay assay")
  return stdout.split("\n").filter((word) => word !== "")
}

test("[ADM-37] bash completes commands, sub-commands, options and their choices, and leaves files to itself", async () => {
  await using scratch = await makeScratch()
  const script = scratch.path("completion.bash")
  const { code, out, err } = await runAssay(["completion", "bash"])
  assert.equal(code, 0, err)
  await writeFile(script, out)
  const all = await offered(script, "")
  assert.deepEqual(
    [...COMMANDS.keys()].filter((name) => !all.includes(name)),
    [],
  )
  assert.deepEqual(await offered(script, "rot"), ["rotation"])
  assert.deepEqual((await offered(script, "rotation", "st")).toSorted(), ["start", "status"])
  assert.deepEqual(await offered(script, "rotation", "start", "--kind", ""), ["x509", "jwt"])
  assert.deepEqual(await offered(script, "rotation", "start", "--kind", "jwt", "--au"), ["--auto"])
  assert.deepEqual(await offered(script, "status", "-o", "y"), ["yaml"])
  assert.deepEqual(await offered(script, "status", "--server", "https://a", "--sv"), ["--svid-dir"])
  assert.deepEqual(await offered(script, "status", "--config", ""), [])
  assert.deepEqual(await offered(script, "approval", ""), ["list", "approve", "reject", "-h", "--help"])
  assert.deepEqual(await offered(script, "completion", "f"), ["fish"])
})

test("[ADM-37] every shell's script knows every command, and another shell is wrong usage", async () => {
  for (const shell of ["zsh", "fish"]) {
    const { out } = await runAssay(["completion", shell])
    for (const name of COMMANDS.keys()) assert.ok(out.includes(name), `${shell}: ${name}`)
    assert.ok(out.includes("emergency") && out.includes("--canary-namespace".slice(2)), shell)
    assert.equal((out.replaceAll("\\'", "").split("'").length - 1) % 2, 0, `${shell}: a quote that is open`)
  }
  // Loaded from fpath, the file is the function itself at the first call: it has to complete then, too.
  const { out: zsh } = await runAssay(["completion", "zsh"])
  assert.match(zsh, /funcstack\[1\]\}" == _assay \]\]; then\n {2}_assay "\$@"\n/)
  const other = await runAssay(["completion", "tcsh"])
  assert.equal(other.code, 64)
})

const run = promisify(execFile)
