import { relative } from "node:path"
import type { EventData } from "node:test"
import { run } from "node:test"
import { spec } from "node:test/reporters"
import type { Phase } from "./suites.ts"
import type { Tally } from "./tally.ts"

export interface TestRun {
  readonly root: string
  readonly tally: Tally
  /** With CI=true a skip or a todo is a failure. */
  readonly strict: boolean
  readonly signal: AbortSignal
}

/** Run one phase, print it as it goes, and count its tests (not its suites). */
export async function runTests(phase: Phase, { root, tally, strict, signal }: TestRun): Promise<void> {
  const stream = run({ files: phase.files, concurrency: phase.concurrency, timeout: FILE_MILLIS, signal, cwd: root })
  const count = makeCount(root, tally, strict)
  stream.on("test:pass", (event) => count(event, true))
  stream.on("test:fail", (event) => count(event, false))
  const report = stream.compose(spec)
  report.pipe(process.stdout, { end: false })
  for await (const _ of report) if (signal.aborted) break
}

type Outcome = EventData.TestPass | EventData.TestFail

function makeCount(root: string, tally: Tally, strict: boolean): (event: Outcome, passed: boolean) => void {
  return (event, passed) => {
    const title = `${event.file === undefined ? "" : `${relative(root, event.file)}: `}${event.name}`
    const unmet = (event.todo ?? false) !== false ? "todo" : (event.skip ?? false) !== false ? "skipped" : undefined
    // The tests of a skipped suite are not reported one by one, so it stands for them.
    if (unmet !== undefined) return strict ? tally.fail(`${title}: ${unmet}`) : undefined
    if (event.details.type === "suite") return
    // A file that defines no test is reported as one passed test with the name of the file.
    if (passed && event.name === event.file) return tally.fail(`${title}: defines no test`)
    if (passed) return tally.pass()
    tally.fail(title)
  }
}

/** A file that takes longer hangs. */
const FILE_MILLIS = 15 * 60_000
