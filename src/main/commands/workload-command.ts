import { type Command, Option } from "commander"
import { openWorkloadClient } from "../../adapters/workload-client/workload-client.ts"
import { type IdentityError, toIdentityError } from "../../core/errors.ts"
import { parseWorkloadEndpoint } from "../../core/spiffe/endpoint.ts"
import type { WorkloadApi } from "../../ports/workload-api.ts"

/** Options that every command which speaks to the Workload API has. */
export interface WorkloadOptions {
  readonly socket: string | undefined
}

export interface OutputOptions extends WorkloadOptions {
  readonly output: "json" | "table"
  /** Seconds. */
  readonly timeout: number
}

/** Add `--socket`; without it the environment says where the Workload API is. @see WE-10 */
export function withSocket(command: Command): Command {
  const option = new Option("--socket <address>", "Workload API address, unix:///path or tcp://IP:port")
  return command.addOption(option.env("SPIFFE_ENDPOINT_SOCKET"))
}

export function withOutput(command: Command): Command {
  return withSocket(command)
    .addOption(new Option("-o, --output <form>", "form of the output").choices(["table", "json"]).default("table"))
    .option("--timeout <seconds>", "give up after this time", parseSeconds, 10)
}

/**
 * Run `work` against the Workload API until it ends, or SIGINT or SIGTERM asks it to. What fails is printed with the next
 * step, and becomes the exit code. @see CLI-01 CLI-02
 */
export async function runWithWorkloadApi(
  options: WorkloadOptions,
  work: (api: WorkloadApi, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const controller = new AbortController()
  const stop = () => controller.abort()
  process.once("SIGINT", stop).once("SIGTERM", stop)
  try {
    if (options.socket === undefined)
      return usage("set SPIFFE_ENDPOINT_SOCKET or --socket, e.g. unix:///run/assay/api.sock")
    using api = openWorkloadClient(parseWorkloadEndpoint(options.socket))
    await work(api, controller.signal)
  } catch (thrown) {
    report(toIdentityError(thrown))
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop)
  }
}

/** {@link runWithWorkloadApi} for one answer: `--timeout` bounds it. */
export function askWorkloadApi(
  options: OutputOptions,
  work: (api: WorkloadApi, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  return runWithWorkloadApi(options, async (api, stopped) => {
    const late = AbortSignal.timeout(options.timeout * 1000)
    await work(api, AbortSignal.any([stopped, late]))
    late.throwIfAborted()
  })
}

function usage(message: string): void {
  process.stderr.write(`assay: ${message}\n`)
  process.exitCode = EXIT_USAGE
}

function report(error: IdentityError): void {
  const step = NEXT_STEP.get(error.reason ?? error.code) ?? NEXT_STEP.get(error.code)
  process.stderr.write(`assay: ${error.message}${step === undefined ? "" : `\n  ${step}`}\n`)
  process.exitCode = EXIT_CODES.get(error.code) ?? EXIT_FAILED
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (!Number.isFinite(seconds) || seconds <= 0 || seconds > 3600)
    throw new RangeError("--timeout is 1 to 3600 seconds")
  return seconds
}

const EXIT_FAILED = 1
const EXIT_USAGE = 64
/** As sysexits.h numbers them. */
const EXIT_CODES: ReadonlyMap<string, number> = new Map([
  ["malformed", 65],
  ["not-ready", 69],
  ["rate-limited", 69],
  ["deadline", 75],
  ["already-exists", 73],
  ["no-identity", 77],
])
const NEXT_STEP: ReadonlyMap<string, string> = new Map([
  ["socket-unreachable", "is the agent running, and is its socket mounted here? See: assay agent --help"],
  ["not-ready", "the agent has no identity yet; its log says what it waits for"],
  ["no-identity", "no rule gives this caller an identity. See: assay explain --help"],
  ["deadline", "raise --timeout, or look at the agent's log"],
])
