import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { text } from "node:stream/consumers"

export interface Ended {
  readonly code: unknown
  readonly out: string
  readonly err: string
}

/** Run the command line as its users do, and wait for its end. @param input on standard input */
export async function runAssay(args: readonly string[], input = ""): Promise<Ended> {
  const child = spawn(process.execPath, [CLI, ...args], { timeout: 180_000 })
  child.stdin.end(input)
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")])
  return { code, out, err }
}

const CLI = join(import.meta.dirname, "../../src/main/cli.ts")
