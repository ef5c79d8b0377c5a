import { createHash } from "node:crypto"
import { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import type { IdentityAuthority } from "../../ports/identity-authority.ts"
import type { OpenIdentitySource } from "../agent/open-identity-source.ts"
import type { AttestToken } from "../attest/attest-token.ts"
import type { IdentitySource } from "./identity-source.ts"

/** A source that somebody uses; dispose it to let go. */
export interface SourceLease extends AsyncDisposable {
  readonly source: IdentitySource
  /** When the evidence of the caller expires: it must prove itself anew by then. */
  readonly notAfter: Instant
}

export interface RemoteSourcesDeps {
  readonly attest: AttestToken
  /** This server for the holder of `token`. */
  readonly authorityFor: (token: string) => IdentityAuthority
  readonly openSource: (authority: IdentityAuthority) => OpenIdentitySource
  /** Most callers that are served at once. */
  readonly maxSources: number
}

/**
 * Identity sources for callers that have no agent: one for each token, shared by all streams that show it, and closed when
 * the last of them ends. Their private keys are made here and live in memory only, for as long.
 * @throws IdentityError when the token does not attest; `rate-limited` when too many callers are served
 */
export type OpenRemoteSource = (token: string, signal: AbortSignal) => Promise<SourceLease>

export function makeOpenRemoteSource(deps: RemoteSourcesDeps): OpenRemoteSource {
  const shared = new Map<string, { readonly source: OpenIdentitySource; users: number }>()
  return async (token, signal) => {
    const { claims } = await deps.attest(token, signal)
    const name = createHash("sha256").update(token).digest("base64")
    let entry = shared.get(name)
    if (entry === undefined) {
      if (shared.size >= deps.maxSources) {
        throw new IdentityError("rate-limited", "too many callers subscribe to secrets here", { retryAfter: 5 })
      }
      entry = { source: deps.openSource(deps.authorityFor(token)), users: 0 }
      shared.set(name, entry)
    }
    const mine = entry
    mine.users++
    return {
      source: mine.source,
      notAfter: claims.expiresAt,
      [Symbol.asyncDispose]: async () => {
        mine.users--
        if (mine.users > 0) return
        if (shared.get(name) === mine) shared.delete(name)
        await mine.source[Symbol.asyncDispose]()
      },
    }
  }
}
