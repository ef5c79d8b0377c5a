import { makeJwsVerifier } from "../adapters/jose/verify-jws.ts"
import { systemClock } from "../adapters/system/clock.ts"
import { makeSystemRandom } from "../adapters/system/random.ts"
import { openWorkloadClient } from "../adapters/workload-client/workload-client.ts"
import type { Seconds } from "../core/time.ts"
import { type JwtSource, makeJwtSource } from "./jwt-source.ts"
import { checkSkew, FIRST_ANSWER, type WorkloadOptions, workloadEndpointOf } from "./workload-options.ts"

export interface JwtSourceOptions extends WorkloadOptions {
  /** How far the clocks of those who issue tokens may be off: 0 to 60 seconds, default 10. */
  readonly clockSkew?: Seconds | undefined
}

/**
 * Connect to the Workload API and wait for the first JWT bundles.
 * @throws IdentityError `malformed` for options that are none; else as `openX509Source` @see CLT-10
 */
export async function openJwtSource(options: JwtSourceOptions = {}): Promise<JwtSource> {
  await using stack = new AsyncDisposableStack()
  const skew = checkSkew(options.clockSkew)
  const api = stack.use(openWorkloadClient(workloadEndpointOf(options)))
  const terms = {
    signal: options.signal,
    onProblem: options.onProblem,
    deadline: options.deadline ?? FIRST_ANSWER,
    skew,
  }
  const deps = { api, verifier: makeJwsVerifier(), clock: systemClock, random: makeSystemRandom() }
  const source = stack.use(await makeJwtSource(terms, deps))
  const opened = stack.move()
  options.signal?.addEventListener("abort", () => void opened.disposeAsync(), { once: true })
  return { ...source, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}
