import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { test } from "node:test"
import { makeNotifier } from "../../../../src/main/commands/notify-process.ts"
import { makeScratch } from "../../../support/scratch.ts"

const never = new AbortController().signal

test("the process in the file gets the signal that was chosen, also one that came in place of another", async () => {
  await using scratch = await makeScratch("notify")
  const pidFile = scratch.path("pid")
  for (const signal of ["SIGUSR1", "SIGUSR2", "SIGHUP"] as const) {
    const child = spawn("sleep", ["60"])
    const ended = once(child, "exit")
    await once(child, "spawn")
    await writeFile(pidFile, `${child.pid}\n`)
    await makeNotifier({ signal, pidFile })(never)
    assert.deepEqual(await ended, [null, signal])
  }
})

test("what is no single pid is sent nothing", async () => {
  await using scratch = await makeScratch("notify")
  const pidFile = scratch.path("pid")
  // No number of a group: a reader that took it would end this test.
  for (const text of ["", "pid", "1 2", "0x10", "99999999999"]) {
    await writeFile(pidFile, text)
    await assert.rejects(makeNotifier({ signal: "SIGUSR1", pidFile })(never), { code: "malformed" }, text)
  }
})
