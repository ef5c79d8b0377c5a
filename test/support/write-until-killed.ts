import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"

/** What `test/fault/store-writer.ts`, run with `args`, reported before it was killed: `count` serials or a few more. */
export async function writeUntilKilled(args: readonly string[], count: number): Promise<readonly string[]> {
  const script = new URL("../fault/store-writer.ts", import.meta.url).pathname
  const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "inherit"] })
  const exited = once(child, "exit")
  const serials: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    serials.push(line)
    if (serials.length === count) child.kill("SIGKILL")
  }
  await exited
  assert.ok(serials.length >= count, "the writer ended before it was killed")
  return serials.filter((serial) => /^\d+-\d+-\d+$/.test(serial))
}
