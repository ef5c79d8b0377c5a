import { createHash } from "node:crypto"
import { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import type { IdentityAuthority } from "../../ports/identity-authority.ts"
import type { OpenIdentitySource } from "../agent/open-identity-source.ts"
import type { AttestToken } from "../attest/attest-token.ts"
import { isBannedError } from "../ban/banned.ts"
import type { IdentitySource } from "./identity-source.ts"

/** A source that somebody uses; dispose it to let go. */
export interface SourceLease extends AsyncDisposable {
  readonly source: IdentitySource
  /** When the evidence of the caller expires: it must prove itself anew by then. */
  readonly notAfter: Instant
  /** Aborts when the caller is banned; the reason is the IdentityError. */
  readonly evicted: AbortSignal
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
  const shared = new Map<string, SharedSource>()
  const forget = (name: string, entry: SharedSource): void => {
    if (shared.get(name) === entry) shared.delete(name)
  }
  const share = (name: string, token: string): SharedSource => {
    if (shared.size >= deps.maxSources) {
      throw new IdentityError("rate-limited", "too many callers subscribe to secrets here", { retryAfter: 5 })
    }
    const source = deps.openSource(deps.authorityFor(token))
    const entry: SharedSource = { source, users: 0, evicted: new AbortController(), closed: new AbortController() }
    shared.set(name, entry)
    void watchForBan(entry).then(() => forget(name, entry))
    return entry
  }
  return async (token, signal) => {
    const { claims } = await deps.attest(token, signal)
    const name = createHash("sha256").update(token).digest("base64")
    const mine = shared.get(name) ?? share(name, token)
    mine.users++
    return {
      source: mine.source,
      notAfter: claims.expiresAt,
      evicted: mine.evicted.signal,
      [Symbol.asyncDispose]: async () => {
        mine.users--
        if (mine.users > 0) return
        forget(name, mine)
        mine.closed.abort()
        await mine.source[Symbol.asyncDispose]()
      },
    }
  }
}

interface SharedSource {
  readonly source: OpenIdentitySource
  users: number
  readonly evicted: AbortController
  readonly closed: AbortController
}

/** Resolves when the caller was banned and its streams were told so, or when they are all gone. */
async function watchForBan({ source, evicted, closed }: SharedSource): Promise<void> {
  while (!closed.signal.aborted) {
    const change = source.changed(closed.signal)
    const state = source.current()
    if (state.kind === "denied" && isBannedError(state.error)) {
      evicted.abort(state.error)
      return
    }
    await change
  }
}
