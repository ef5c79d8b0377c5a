#!/usr/bin/env node
import { setTimeout as delay } from "node:timers/promises"
import { parseArgs } from "node:util"
import type { Millis } from "../../core/time.ts"
import { findEnvoy } from "./find-envoy.ts"
import { reportEnd, reportJson, reportStep } from "./report.ts"
import { runSteps, type Step } from "./step.ts"
import { envoyMtls } from "./steps/envoy-mtls.ts"
import { jwtSvid } from "./steps/jwt-svid.ts"
import { leafRotation } from "./steps/leaf-rotation.ts"
import { mtlsAccepted } from "./steps/mtls-accepted.ts"
import { mtlsRefused } from "./steps/mtls-refused.ts"
import { rootRotation } from "./steps/root-rotation.ts"
import { tokenExchange } from "./steps/token-exchange.ts"
import { x509Svid } from "./steps/x509-svid.ts"
import { NO_ENVOY, tryNext } from "./try-next.ts"
import { openWorld } from "./world.ts"

interface Flags {
  /** End after the steps. */
  readonly once: boolean
  /** One JSON object on standard output, the words for people on standard error. */
  readonly json: boolean
}

/** The main job, before your eyes: a platform token in, a rotating SVID out. @returns the exit code */
async function runDemo({ once: ends, json }: Flags, stop: AbortSignal): Promise<number> {
  const people = json ? process.stderr : process.stdout
  const begun = performance.now()
  const envoy = await findEnvoy(process.env)
  await using world = await openWorld(envoy, stop)
  people.write(`Assay demo: a server, two agents, two workloads, in ${world.folder}\n\n`)
  const steps = [...STEPS, ...(envoy === undefined ? [] : [envoyMtls]), rootRotation]
  const onResult = (result: Parameters<typeof reportStep>[0]): void => void people.write(`${reportStep(result)}\n`)
  const results = await runSteps(steps, world, { within: STEP_MILLIS, stop, onResult })
  people.write(reportEnd(results, performance.now() - begun))
  if (json) process.stdout.write(reportJson(results))
  const failed = results.some(({ ok }) => !ok)
  if (ends || stop.aborted) {
    if (envoy === undefined) people.write(NO_ENVOY)
    return failed ? 1 : 0
  }
  people.write(failed ? STAYS_UP : await tryNext(world, envoy !== undefined))
  // A timer, since waiting for a signal alone does not keep a process up.
  while (!stop.aborted) await delay(DAY, undefined, { signal: stop }).catch(() => undefined)
  return failed ? 1 : 0
}

/** @returns `undefined` for flags that do not exist, after saying so */
function readFlags(): Flags | undefined {
  const options = { once: { type: "boolean", default: false }, json: { type: "boolean", default: false } } as const
  try {
    return parseArgs({ options }).values
  } catch (thrown) {
    process.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n${USAGE}`)
    return undefined
  }
}

const STEPS: readonly Step[] = [x509Svid, jwtSvid, tokenExchange, mtlsAccepted, mtlsRefused, leafRotation]
const STEP_MILLIS: Millis = 15_000
const PARENT_POLL: Millis = 500
const DAY: Millis = 24 * 3600 * 1000
const USAGE_EXIT = 64
const USAGE = `usage: npm run demo -- [--once] [--json]
  --once   end after the steps: exit code 0, or 1 when one failed
  --json   print the results as one JSON object, the last line of standard output, and the words for people on standard
           error; npm run -s demo -- --once --json prints nothing else
`
const STAYS_UP = "\nWhat runs stays up, with its logs, so that you can look for the reason. Ctrl-C stops it.\n"
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const

const stopping = new AbortController()
// Stays in place while everything comes down, so that an impatient second signal leaves nothing behind.
for (const name of SIGNALS) process.on(name, () => stopping.abort(new Error(`stopped by ${name}`)))
for (const output of [process.stdout, process.stderr]) {
  output.on("error", () => stopping.abort(new Error("stopped, as nobody reads the output")))
}
// Someone who kills npm, or a shell, cannot mean to leave a server and two agents running.
const parent = process.ppid
setInterval(() => {
  if (process.ppid !== parent) stopping.abort(new Error("stopped, as the process that started it has ended"))
}, PARENT_POLL).unref()
const flags = readFlags()
process.exitCode = flags === undefined ? USAGE_EXIT : await runDemo(flags, stopping.signal)
