import { type Command, InvalidArgumentError, Option } from "commander"
import { openWorkloadClient } from "../../adapters/workload-client/workload-client.ts"
import { toIdentityError } from "../../core/errors.ts"
import { parseWorkloadEndpoint, type WorkloadEndpoint } from "../../core/spiffe/endpoint.ts"
import type { Seconds } from "../../core/time.ts"
import type { WorkloadApi } from "../../ports/workload-api.ts"
import { UsageError } from "../command-failure.ts"

/** Options that every command which speaks to the Workload API has. */
export interface WorkloadOptions {
  readonly socket: string | undefined
}

export interface OutputOptions extends WorkloadOptions {
  readonly output: "json" | "table"
  readonly timeout: Seconds
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
 * Run `work` against the Workload API until it ends, or SIGINT or SIGTERM asks it to.
 * @throws UsageError without an address, or for one that is none; IdentityError as `work` does
 */
export async function runWithWorkloadApi(
  options: WorkloadOptions,
  work: (api: WorkloadApi, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  if (options.socket === undefined) {
    throw new UsageError("set SPIFFE_ENDPOINT_SOCKET or --socket, e.g. unix:///run/assay/api.sock")
  }
  const endpoint = endpointOf(options.socket)
  const controller = new AbortController()
  const stop = () => controller.abort()
  process.once("SIGINT", stop).once("SIGTERM", stop)
  try {
    using api = openWorkloadClient(endpoint)
    await work(api, controller.signal)
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop)
  }
}

/** @throws UsageError */
export function endpointOf(address: string): WorkloadEndpoint {
  try {
    return parseWorkloadEndpoint(address)
  } catch (thrown) {
    throw new UsageError(toIdentityError(thrown).message)
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

function parseSeconds(text: string): Seconds {
  const seconds = Number(text)
  if (!(seconds > 0 && seconds <= 3600)) throw new InvalidArgumentError("It is a number of seconds up to 3600.")
  return seconds
}
