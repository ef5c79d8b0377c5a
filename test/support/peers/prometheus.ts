import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { text } from "node:stream/consumers"
import { z } from "zod"
import { makeScratch } from "../scratch.ts"
import { peerFile } from "./peer.ts"

/** What Prometheus would have scraped, and when it looks. */
export interface Scene {
  /** As in Prometheus's own tests: `load 1m`, then a line for each series. */
  readonly series: string
  /** Seconds after the first sample. */
  readonly at: number
}

export interface RulesVerdict {
  /** Of the file: syntax, expressions, templates. Then nothing was evaluated. */
  readonly errors: readonly string[]
  /** For each scene the alerts whose expression has an outcome, in the order of the file. */
  readonly firing: readonly (readonly string[])[]
}

/** Ask Prometheus's reader and its engine about a file of rules. @throws Error when they cannot answer */
export async function askPrometheus(rules: string, scenes: readonly Scene[]): Promise<RulesVerdict> {
  await using scratch = await makeScratch("prometheus")
  const answer = scratch.path("answer.json")
  const child = spawn(await peerFile("prometheus", "alerts"), { env: { ...process.env, ANSWER: answer } })
  child.stdin.end(JSON.stringify({ rules, scenes }))
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, "close")])
  if (code !== 0) throw new Error(`prometheus exited ${String(code)}: ${said}`)
  return VERDICT.parse(JSON.parse(await readFile(answer, "utf8")))
}

const VERDICT = z.strictObject({ errors: z.array(z.string()), firing: z.array(z.array(z.string())) })
