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
  /** How long a set is used before it is read again. A key taken out of a set that can be read is trusted for this long, and a second. */
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
  /** What was read of this source before, and where that is kept which is read now. Default: nothing was. */
  readonly last?: LastKeySet
}

/** What was read last of one source, and when, monotonic. Handed on, it serves whoever opens the source anew. @see ATT-17 */
export class LastKeySet {
  keys: readonly VerificationKey[] | undefined
  readAt: Millis = Number.NEGATIVE_INFINITY
  triedAt: Millis = Number.NEGATIVE_INFINITY
  failedAt: Millis = Number.NEGATIVE_INFINITY
  /** The read that is under way. */
  reading: Reading | undefined
}

/**
 * The keys of a cluster by its JWK Set. When it cannot be read, or not within a second, the last one serves until an hour after it
 * was asked for, and only a token that no key of it is for waits longer. @see ATT-16 ATT-17 ATT-20 KC-07
 */
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
  readonly #last: LastKeySet

  constructor(deps: JwksKeysDeps) {
    this.#deps = deps
    this.#last = deps.last ?? new LastKeySet()
  }

  /** The set; when it is to be read again, the one before, unless there is a new one soon. */
  async current(signal: AbortSignal): Promise<readonly VerificationKey[]> {
    if (this.#since(this.#last.readAt) >= this.#deps.source.lifetime * 1000) {
      const reading = this.#refresh()
      if (this.#serving() === undefined) await this.#patiently(reading, signal)
      else if (!this.#isInTrouble()) await until(reading?.soon(), signal)
    }
    const keys = this.#serving()
    if (keys === undefined) {
      throw new IdentityError("attestor-down", "the signing keys of the cluster cannot be read right now")
    }
    return keys
  }

  /** The set after a refresh, or `undefined` when there is none newer than `known`. */
  async newerThan(
    known: readonly VerificationKey[],
    signal: AbortSignal,
  ): Promise<readonly VerificationKey[] | undefined> {
    if (this.#last.keys === known) await this.#patiently(this.#refresh(), signal)
    return this.#last.keys === known ? undefined : this.#last.keys
  }

  #serving(): readonly VerificationKey[] | undefined {
    return this.#since(this.#last.readAt) < MAX_STALE ? this.#last.keys : undefined
  }

  /** Whoever cannot do without gives a source all the time that it may take, but not after it failed. */
  #patiently(reading: Reading | undefined, signal: AbortSignal): Promise<void> {
    return until(this.#isInTrouble() ? reading?.soon() : reading?.done, signal)
  }

  #isInTrouble(): boolean {
    return this.#since(this.#last.failedAt) < TROUBLE
  }

  /** The read that is under way, begun now if one may be. One for all, and its own bounds end it, not those who wait for it. */
  #refresh(): Reading | undefined {
    const { source, clock } = this.#deps
    if (this.#last.reading !== undefined || this.#since(this.#last.triedAt) < source.cooldown * 1000)
      return this.#last.reading
    const over = new AbortController()
    const done = this.#read().finally(() => {
      this.#last.reading = undefined
      over.abort()
    })
    let soon: Promise<void> | undefined
    this.#last.reading = { done, soon: () => (soon ??= clock.sleep(PATIENCE, over.signal)) }
    return this.#last.reading
  }

  /** Never rejects. */
  async #read(): Promise<void> {
    const { source, clock, onReadFailed } = this.#deps
    this.#last.triedAt = clock.monotonic()
    try {
      this.#last.keys = parseJwksDocument(await source.read(new AbortController().signal))
      this.#last.readAt = this.#last.triedAt
      this.#last.failedAt = Number.NEGATIVE_INFINITY
    } catch (error) {
      this.#last.failedAt = clock.monotonic()
      onReadFailed(error)
    }
  }

  #since(moment: Millis): Millis {
    return this.#deps.clock.monotonic() - moment
  }
}

interface Reading {
  readonly done: Promise<void>
  /** When it is done, or {@link PATIENCE} after somebody asked this first. */
  soon(): Promise<void>
}

async function until(moment: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
  await moment
  signal.throwIfAborted()
}

const MAX_STALE: Millis = 3_600_000
/** A set is there in less where nothing is wrong, so that a key which was taken out of it is not found in the one before. */
const PATIENCE: Millis = 1000
/** A source that failed within this time is waited for no longer than that; more than one cool-down of a URL. */
const TROUBLE: Millis = 60_000
