import { IdentityError } from "../../core/errors.ts"
import type { Millis, Seconds } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { JwsVerifier, VerificationKey } from "../../ports/jws.ts"
import type { ClusterKeys } from "../../ports/kube.ts"
import { parseJwksDocument } from "./jwks-document.ts"

/** Where a cluster's JWK Set is read from. */
export interface JwksSource {
  /** The text of the set. @throws whatever went wrong; the reader decides what that means */
  read(signal: AbortSignal): Promise<string>
  /** How long a set is used before it is read again. A key taken out of the set is trusted for this long at most. */
  readonly lifetime: Seconds
  /** An unknown `kid`, or a failure, leads to one read in this time at most. */
  readonly cooldown: Seconds
}

export interface JwksKeysDeps {
  readonly source: JwksSource
  readonly verifier: JwsVerifier
  readonly clock: Clock
  /** Told of each read that failed, also when an older set still serves. */
  readonly onReadFailed: (error: unknown) => void
}

/** The keys of a cluster by its JWK Set. When it cannot be read, the last one serves for up to an hour. @see ATT-16 ATT-17 KC-07 */
export function makeJwksKeys(deps: JwksKeysDeps): ClusterKeys {
  const keySet = new CachedKeySet(deps)
  return {
    verify: async (jws, signal) => {
      const keys = await keySet.current(signal)
      try {
        return await deps.verifier.verify(jws, keys)
      } catch (thrown) {
        if (!(thrown instanceof IdentityError) || thrown.reason !== "key-unknown") throw thrown
        const newer = await keySet.newerThan(keys, signal)
        if (newer === undefined) throw thrown
        return await deps.verifier.verify(jws, newer)
      }
    },
  }
}

class CachedKeySet {
  readonly #deps: JwksKeysDeps
  #keys: readonly VerificationKey[] | undefined
  #readAt: Millis = Number.NEGATIVE_INFINITY
  #triedAt: Millis = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined

  constructor(deps: JwksKeysDeps) {
    this.#deps = deps
  }

  async current(signal: AbortSignal): Promise<readonly VerificationKey[]> {
    const { source } = this.#deps
    if (this.#age() >= source.lifetime * 1000) await this.#refresh(source.cooldown, signal)
    if (this.#keys === undefined || this.#age() >= MAX_STALE) {
      throw new IdentityError("attestor-down", "the signing keys of the cluster cannot be read right now")
    }
    return this.#keys
  }

  /** The set after a refresh, or `undefined` when there is none newer than `known`. */
  async newerThan(
    known: readonly VerificationKey[],
    signal: AbortSignal,
  ): Promise<readonly VerificationKey[] | undefined> {
    if (this.#keys === known) await this.#refresh(this.#deps.source.cooldown, signal)
    return this.#keys === known ? undefined : this.#keys
  }

  /** One read for all who wait; never rejects. The first caller's signal does not end it, its own bounds do. */
  async #refresh(cooldown: Seconds, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    if (this.#reading === undefined && clock.monotonic() - this.#triedAt < cooldown * 1000) return
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    await this.#reading
    signal.throwIfAborted()
  }

  async #read(): Promise<void> {
    const { source, clock, onReadFailed } = this.#deps
    this.#triedAt = clock.monotonic()
    try {
      this.#keys = parseJwksDocument(await source.read(new AbortController().signal))
      this.#readAt = this.#triedAt
    } catch (error) {
      onReadFailed(error)
    }
  }

  #age(): Millis {
    return this.#deps.clock.monotonic() - this.#readAt
  }
}

const MAX_STALE: Millis = 3_600_000
