import { systemClock } from "../adapters/system/clock.ts"
import { makeSystemRandom } from "../adapters/system/random.ts"
import { IdentityError } from "../core/errors.ts"
import { digestToken } from "../core/jose/token-digest.ts"
import { makeAheadCache } from "./ahead-cache.ts"
import type { Fetch } from "./bounded-fetch.ts"
import type { JwtSource } from "./jwt-source.ts"
import { certificateThumbprint } from "./peer.ts"
import { type IssuedToken, makeTokenClient, type TokenTarget, type TypedToken } from "./token-client.ts"
import type { X509Holder } from "./x509-source.ts"

/** Tokens of an issuer for one target, always in date. @see CLT-12 CLT-13 CLT-20 CLT-21 */
export interface TokenSource extends Disposable {
  /**
   * The token of this workload for the target: the one that is held, or a new one by `client_credentials`. One past half of its
   * life is fetched anew while it is served, and is served through outages until it expires.
   * @throws TokenEndpointError for a refusal; IdentityError `not-ready` or `deadline` when nobody answers
   */
  token(signal?: AbortSignal): Promise<IssuedToken>
  /**
   * A token for the target in exchange for another one, e.g. of the request that is being served. Kept as {@link token} is, for
   * each subject and actor. (RFC 8693)
   */
  exchange(subject: TypedToken, options?: ExchangeOptions): Promise<IssuedToken>
}

export interface ExchangeOptions {
  /** Who will act for the subject; its holder. */
  readonly actor?: TypedToken | undefined
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined
}

export interface TokenSourceOptions extends TokenTarget {
  /** Byte for byte; JWT-SVIDs for it say who asks. */
  readonly issuer: string
  /** Default: where discovery says. */
  readonly tokenEndpoint?: string | undefined
  /** The SPIFFE ID to ask as. Default: the first of `jwtSource`. */
  readonly clientId?: string | undefined
  /** Says who asks. Without it, the certificate of the connection must: set `fetch` to `makeSvidFetch`, `clientId` and `boundTo`. */
  readonly jwtSource?: Pick<JwtSource, "fetch"> | undefined
  /**
   * Whose certificate `fetch` shows, when tokens are bound to it: a new SVID gets a new token at once. Without it, such a token
   * is of no use from the next SVID on.
   */
  readonly boundTo?: X509Holder | undefined
  /** Default: the global `fetch`, which trusts the roots of this machine. */
  readonly fetch?: Fetch | undefined
}

/** @throws IdentityError `malformed` for options that are none */
export function makeTokenSource(options: TokenSourceOptions): TokenSource {
  const { issuer, tokenEndpoint, clientId, jwtSource } = options
  for (const url of [issuer, tokenEndpoint ?? issuer]) {
    if (URL.parse(url)?.protocol !== "https:") throw new IdentityError("malformed", `"${url}" is not an https URL`)
  }
  if ([options.audience ?? [], options.resource ?? []].flat().length === 0) {
    throw new IdentityError("malformed", "a token needs an audience or a resource")
  }
  const terms = { issuer, tokenEndpoint, clientId, jwtSource, fetch: options.fetch ?? globalThis.fetch }
  const client = makeTokenClient(terms, systemClock)
  const cache = makeAheadCache<IssuedToken>({ clock: systemClock, random: makeSystemRandom() })
  return {
    token: async (signal) => {
      const key = `own ${certificateOf(options.boundTo)}`
      return await cache.get(key, (closing) => client.clientCredentials(options, closing), signal)
    },
    exchange: async (subject, { actor, signal } = {}) => {
      const tokens = [subject, actor].map((one) => (one === undefined ? "" : `${one.type} ${digestToken(one.token)}`))
      const key = [...tokens, certificateOf(options.boundTo)].join(" ")
      return await cache.get(key, (closing) => client.exchange(options, subject, actor, closing), signal)
    },
    [Symbol.dispose]: () => cache[Symbol.dispose](),
  }
}

/** Names the certificate of now; empty for none. */
function certificateOf(holder: X509Holder | undefined): string {
  const [leaf] = holder?.current().svid.chain ?? []
  return leaf === undefined ? "" : certificateThumbprint(leaf)
}
