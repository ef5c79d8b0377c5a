import { systemClock } from "../adapters/system/clock.ts"
import { makeSystemRandom } from "../adapters/system/random.ts"
import { openWorkloadClient } from "../adapters/workload-client/workload-client.ts"
import { FIRST_ANSWER, type WorkloadOptions, workloadEndpointOf } from "./workload-options.ts"
import type { PickSvid } from "./x509-context.ts"
import { makeX509Source, type X509Source } from "./x509-source.ts"

export interface X509SourceOptions extends WorkloadOptions {
  /** Which SVID to use when there are several. Default: the first. */
  readonly pick?: PickSvid | undefined
}

/**
 * Connect to the Workload API and wait for the first X.509-SVID.
 * @throws IdentityError `malformed` for an address that is none; `no-identity`, `not-ready` or `deadline` when there is no SVID
 * within the deadline @see CLT-01
 */
export async function openX509Source(options: X509SourceOptions = {}): Promise<X509Source> {
  await using stack = new AsyncDisposableStack()
  const api = stack.use(openWorkloadClient(workloadEndpointOf(options)))
  const terms = {
    signal: options.signal,
    onProblem: options.onProblem,
    deadline: options.deadline ?? FIRST_ANSWER,
    pick: options.pick ?? (([first]) => first),
  }
  const source = stack.use(await makeX509Source(api, terms, { clock: systemClock, random: makeSystemRandom() }))
  const opened = stack.move()
  options.signal?.addEventListener("abort", () => void opened.disposeAsync(), { once: true })
  return { ...source, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}
