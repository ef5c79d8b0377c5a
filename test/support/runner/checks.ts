import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import type { Tally } from "./tally.ts"

/** Run each check to its end, print its output when it fails, and count it. */
export async function runChecks(root: string, tally: Tally, signal: AbortSignal): Promise<void> {
  for (const [name, ...args] of CHECKS) {
    const begin = performance.now()
    const { ok, output } = await runCheck(join(root, "node_modules/.bin", name), args, root, signal)
    const seconds = ((performance.now() - begin) / 1000).toFixed(1)
    const title = [name, ...args].join(" ")
    console.log(`${ok ? "✔" : "✖"} ${title} (${seconds} s)`)
    if (ok) tally.pass()
    else {
      console.log(output)
      tally.fail(title)
    }
  }
}

async function runCheck(command: string, args: readonly string[], cwd: string, signal: AbortSignal) {
  const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], signal, timeout: CHECK_MILLIS })
  const chunks: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      if (chunks.length < KEPT_CHUNKS) chunks.push(chunk)
    })
  }
  const [code]: unknown[] = await once(child, "close").catch((failure: unknown) => [failure])
  return { ok: code === 0, output: chunks.join("") || `ended with ${String(code)}` }
}

const CHECKS: readonly (readonly [string, ...string[]])[] = [
  ["tsc", "--noEmit"],
  ["biome", "check", "."],
  ["oxlint", "--type-aware", "--deny-warnings", "src", "test"],
]
const CHECK_MILLIS = 5 * 60_000
const KEPT_CHUNKS = 1_000
