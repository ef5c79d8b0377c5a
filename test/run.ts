import { mkdtempDisposable } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { isContinuousIntegration } from "./support/peers/peer.ts"
import { runChecks } from "./support/runner/checks.ts"
import { parseRunOptions, type RunOptions, USAGE } from "./support/runner/options.ts"
import { preparePeers } from "./support/runner/peers.ts"
import { phasesOf } from "./support/runner/suites.ts"
import { Tally } from "./support/runner/tally.ts"
import { runTests } from "./support/runner/tests.ts"

/** `npm test`: peers, checks, tests, and `N passed, N failed` as the last line. */
async function main(options: RunOptions, signal: AbortSignal): Promise<Tally> {
  const root = resolve(import.meta.dirname, "..")
  const tally = new Tally()
  const strict = isContinuousIntegration()
  // The peers that take minutes are built while the checks and the first phase run; the last phase waits for them.
  const prepared = options.peers || options.prepareOnly ? preparePeers(tally, strict, signal) : Promise.resolve()
  if (options.prepareOnly) {
    await prepared
    return tally
  }
  // What one process compiled, the next ones load: half of the processor time of tests that start programs was that.
  await using compiled = await mkdtempDisposable(join(tmpdir(), "assay-compiled-"))
  process.env["NODE_COMPILE_CACHE"] ??= compiled.path
  if (options.checks) await runChecks(root, tally, signal)
  const phases = phasesOf(root, options.only)
  if (phases.length === 0) tally.fail("no test file matches")
  for (const [index, phase] of phases.entries()) {
    if (index === phases.length - 1) await prepared
    console.log(`\n${phase.name}: ${phase.files.length} files, ${phase.concurrency} at a time`)
    await runTests(phase, { root, tally, strict, signal })
  }
  return tally
}

const options = parseRunOptions(process.argv.slice(2))
if (options.help) {
  console.log(USAGE)
} else {
  const interrupt = new AbortController()
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => interrupt.abort())
  const tally = await main(options, interrupt.signal)
  if (interrupt.signal.aborted) tally.fail("interrupted")
  if (tally.failed > 0) console.log(`\nfailed:\n${tally.failures.map((failure) => `  ✖ ${failure}`).join("\n")}`)
  console.log(tally.summary())
  process.exitCode = tally.failed > 0 ? 1 : 0
}
