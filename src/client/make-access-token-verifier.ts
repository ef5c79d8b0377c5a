import { makeJwsVerifier } from "../adapters/jose/verify-jws.ts"
import { systemClock } from "../adapters/system/clock.ts"
import { IdentityError } from "../core/errors.ts"
import type { Seconds } from "../core/time.ts"
import type { ReplayLog } from "../ports/replay-log.ts"
import { makeVerifyAccessToken, type VerifyAccessToken } from "./access-token-verifier.ts"
import { type Authorize, authorizeAny } from "./authorize.ts"
import type { Fetch } from "./bounded-fetch.ts"
import { makeIssuerKeys } from "./issuer-keys.ts"
import { makeReplayWindow } from "./replay-window.ts"
import { checkSkew } from "./workload-options.ts"

export interface AccessTokenVerifierOptions {
  /** The issuer whose tokens are accepted, byte for byte. */
  readonly issuer: string
  /** The name, or the names, under which this service is addressed. */
  readonly audience: string | readonly string[]
  /** Where the issuer's keys are, https. Default: where discovery says. */
  readonly jwksUri?: string | undefined
  /** Whose tokens are accepted. Default: everybody's whom the issuer gives one. */
  readonly subject?: Authorize | undefined
  /** How far the issuer's clock may be ahead: 0 to 60 seconds, default 10. Nothing is added to `exp`. */
  readonly clockSkew?: Seconds | undefined
  /** Default: the global `fetch`, which trusts the roots of this machine. */
  readonly fetch?: Fetch | undefined
  /** Where spent DPoP proofs are remembered. Default: in the memory of this process, which other instances do not share. */
  readonly replayLog?: ReplayLog | undefined
  /** Told of each read of the issuer's keys that failed. Must not throw. */
  readonly onProblem?: ((error: IdentityError) => void) | undefined
}

/**
 * Verify access tokens of one issuer, as RFC 9068 section 4 demands, and what binds them to their bearer. Its keys are read when
 * the first token comes. @throws IdentityError `malformed` for options that are none @see CLT-14..CLT-18
 */
export function makeAccessTokenVerifier(options: AccessTokenVerifierOptions): VerifyAccessToken {
  const { issuer, jwksUri, onProblem } = options
  const audiences = [options.audience].flat()
  if (audiences.length === 0 || audiences.includes("")) {
    throw new IdentityError("malformed", "a verifier needs the name of its service as audience")
  }
  for (const url of [issuer, jwksUri ?? issuer]) {
    if (URL.parse(url)?.protocol !== "https:") throw new IdentityError("malformed", `"${url}" is not an https URL`)
  }
  const deps = { verifier: makeJwsVerifier(), clock: systemClock }
  const keys = makeIssuerKeys({ issuer, jwksUri, onProblem, fetch: options.fetch ?? globalThis.fetch }, deps)
  const replayLog = options.replayLog ?? makeReplayWindow(systemClock)
  const subject = options.subject ?? authorizeAny()
  return makeVerifyAccessToken(
    { issuer, audiences, subject, skew: checkSkew(options.clockSkew) },
    { ...deps, keys, replayLog },
  )
}
