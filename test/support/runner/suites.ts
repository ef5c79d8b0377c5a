import { globSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join, relative } from "node:path"

/** Test files that run together. */
export interface Phase {
  readonly name: string
  readonly files: readonly string[]
  /** Test files, each in a process of its own, that run at the same time. */
  readonly concurrency: number
}

/**
 * All test files in two phases. Those that drive real peers or count on timing come last and one at a time, so that an
 * Envoy or an API server does not starve; a folder that is not listed runs in the first phase, never not at all.
 */
export function phasesOf(root: string, only: readonly string[]): Phase[] {
  const files = globSync("test/**/*.test.ts", { cwd: root })
    .filter((file) => only.length === 0 || only.some((text) => file.includes(text)))
    .sort()
    .map((file) => join(root, file))
  const isSlow = (file: string) => SLOW_FOLDERS.some((folder) => relative(root, file).startsWith(`test/${folder}/`))
  const phases = [
    {
      name: "unit, contract, conformance, property",
      files: files.filter((f) => !isSlow(f)),
      concurrency: availableParallelism(),
    },
    { name: "interop, fault, end to end", files: files.filter(isSlow), concurrency: 1 },
  ]
  return phases.filter((phase) => phase.files.length > 0)
}

const SLOW_FOLDERS = ["interop", "fault", "e2e", "bench"]
