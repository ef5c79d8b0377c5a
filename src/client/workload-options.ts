import { IdentityError } from "../core/errors.ts"
import { parseWorkloadEndpoint, type WorkloadEndpoint } from "../core/spiffe/endpoint.ts"
import type { Millis, Seconds } from "../core/time.ts"

/** How a source finds the Workload API and waits for it. */
export interface WorkloadOptions {
  /** `unix:///path`, `tcp://IP:port`, or the path of a unix socket. Default: `SPIFFE_ENDPOINT_SOCKET` of the environment. */
  readonly socket?: string | undefined
  /** How long to wait for the first answer, milliseconds. Default 30 seconds. */
  readonly deadline?: Millis | undefined
  /** Closes the source when it aborts. */
  readonly signal?: AbortSignal | undefined
  /** Told of each failure of the Workload API, whether or not there is something to serve meanwhile. Must not throw. */
  readonly onProblem?: ((error: IdentityError) => void) | undefined
}

/** @throws IdentityError `malformed` @see WE-10 */
export function workloadEndpointOf({ socket }: Pick<WorkloadOptions, "socket">): WorkloadEndpoint {
  const address = socket ?? process.env["SPIFFE_ENDPOINT_SOCKET"]
  if (address === undefined || address === "") {
    throw new IdentityError(
      "malformed",
      "set SPIFFE_ENDPOINT_SOCKET or the option socket, e.g. unix:///run/assay/agent.sock",
    )
  }
  return address.startsWith("/") ? { kind: "unix", path: address } : parseWorkloadEndpoint(address)
}

export const FIRST_ANSWER: Millis = 30_000

/** How far other clocks may be off: what is given, or 10 seconds. @throws IdentityError `malformed` for more than a minute */
export function checkSkew(skew: Seconds = 10): Seconds {
  if (skew >= 0 && skew <= 60) return skew
  throw new IdentityError("malformed", "clockSkew is 0 to 60 seconds")
}
