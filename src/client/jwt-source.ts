import { makeValidateJwtSvid } from "../app/deliver/validate-jwt-svid.ts"
import { IdentityError } from "../core/errors.ts"
import { parseJwtSvid } from "../core/jose/jwt-svid.ts"
import type { JsonObject } from "../core/json.ts"
import type { TrustBundle } from "../core/spiffe/bundle.ts"
import { parseJwtBundle } from "../core/spiffe/bundle-document.ts"
import { parseSpiffeId, parseWorkloadId, type SpiffeId, trustDomainOf } from "../core/spiffe/id.ts"
import type { Instant, Millis, Seconds } from "../core/time.ts"
import type { JwsVerifier } from "../ports/jws.ts"
import type { WorkloadApi } from "../ports/workload-api.ts"
import { makeAheadCache } from "./ahead-cache.ts"
import { type HeldValue, type HoldDeps, type HoldTerms, holdNewest } from "./held-value.ts"

/** JWT-SVIDs of this workload, and the keys to validate those of others. @see CLT-10..CLT-13 */
export interface JwtSource extends AsyncDisposable {
  /**
   * A JWT-SVID for these audiences: the one that is held, or a new one. One past half of its life is fetched anew while it is
   * served, and is served through outages until it expires.
   * @throws IdentityError of the Workload API: `no-identity` when this workload has none, `not-ready` when nobody answers
   */
  fetch(audience: string | readonly string[], options?: FetchJwtOptions): Promise<JwtSvid>
  /**
   * Validate a token of another workload by the bundle of the trust domain that its `sub` names; nobody is asked.
   * @param audience one of the token's must be it, byte for byte @throws IdentityError `malformed` for every token that is not
   * good @see CLT-11
   */
  validate(token: string, audience: string): Promise<ValidJwtSvid>
}

export interface FetchJwtOptions {
  /** Default: the first identity of the workload. */
  readonly spiffeId?: string | undefined
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined
}

export interface JwtSvid {
  readonly spiffeId: SpiffeId
  readonly hint: string
  /** A bearer credential: keep it out of logs. */
  readonly token: string
  readonly audience: readonly string[]
  readonly expiresAt: Instant
}

export interface ValidJwtSvid {
  readonly spiffeId: SpiffeId
  readonly audience: readonly string[]
  readonly expiresAt: Instant
  /** All of them. */
  readonly claims: JsonObject
}

export interface JwtTerms extends HoldTerms {
  /** How far the clocks of those who issue tokens may be off. */
  readonly skew: Seconds
}

export interface JwtSourceDeps extends HoldDeps {
  readonly api: Pick<WorkloadApi, "watchJwtBundles" | "fetchJwt">
  readonly verifier: JwsVerifier
}

/** @throws IdentityError as {@link holdNewest} */
export async function makeJwtSource(terms: JwtTerms, deps: JwtSourceDeps): Promise<JwtSource> {
  const { api, clock, verifier } = deps
  const read = async function* (signal: AbortSignal): AsyncGenerator<readonly TrustBundle[], void, void> {
    for await (const message of api.watchJwtBundles(signal)) yield [...message].map(readBundle)
  }
  const bundles: HeldValue<readonly TrustBundle[]> = await holdNewest(read, terms, deps)
  const cache = makeAheadCache<JwtSvid>(deps)
  bundles.closed.addEventListener("abort", () => cache[Symbol.dispose](), { once: true })
  const validate = makeValidateJwtSvid({ verifier, now: () => clock.now(), skew: terms.skew })
  return {
    fetch: async (audience, { spiffeId, signal } = {}) => {
      const wanted = normalise(audience)
      const id = spiffeId === undefined ? undefined : parseWorkloadId(spiffeId)
      const fetch = async (closing: AbortSignal): Promise<JwtSvid> => {
        const within = AbortSignal.any([closing, AbortSignal.timeout(FETCH)])
        const [first] = await api.fetchJwt(wanted, id, within)
        if (first === undefined) throw new IdentityError("no-identity", "the Workload API sent no JWT-SVID")
        return readJwtSvid(first, wanted, id)
      }
      return await cache.get(JSON.stringify([id ?? "", ...wanted]), fetch, signal)
    },
    validate: async (token, audience) => {
      const { spiffeId, audience: all, expiresAt, claims } = await validate(token, audience, bundles.current())
      return { spiffeId, audience: all, expiresAt, claims }
    },
    [Symbol.asyncDispose]: () => bundles[Symbol.asyncDispose](),
  }
}

function readBundle([id, document]: readonly [string, string]): TrustBundle {
  const trustDomain = trustDomainOf(parseSpiffeId(id))
  const jwtAuthorities = parseJwtBundle(document)
  return { trustDomain, x509Authorities: [], jwtAuthorities, sequence: 0, refreshHint: undefined }
}

/** Order and repetition do not matter. @throws IdentityError `malformed` for none, too many, or an empty one */
function normalise(audience: string | readonly string[]): readonly string[] {
  const list = [...new Set([audience].flat())].sort()
  if (list.length === 0 || list.length > MAX_AUDIENCES || list.includes("")) {
    throw new IdentityError("malformed", "a JWT-SVID needs 1 to 16 audiences, none of them empty")
  }
  return list
}

function readJwtSvid(
  { token, hint }: { readonly token: string; readonly hint: string },
  wanted: readonly string[],
  id: SpiffeId | undefined,
): JwtSvid {
  const { spiffeId, audience, expiresAt } = parseJwtSvid(token)
  const isAsked = wanted.every((one) => audience.includes(one)) && (id ?? spiffeId) === spiffeId
  if (!isAsked) throw new IdentityError("internal", "the Workload API sent another JWT-SVID than was asked for")
  return { spiffeId, hint, token, audience, expiresAt }
}

const FETCH: Millis = 10_000
const MAX_AUDIENCES = 16
