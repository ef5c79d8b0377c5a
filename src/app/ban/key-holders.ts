import type { RecordedBan } from "../../core/ban/ban.ts"
import type { BanSubject } from "../../core/ban/ban-index.ts"
import type { Instant, Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { KeyHolder, KeyHolderReader } from "../../ports/consumers.ts"
import type { BanView } from "./ban-view.ts"
import type { BanEvents } from "./events.ts"

export interface KeyHoldersDeps {
  readonly bans: Pick<BanView, "find" | "inForce">
  readonly holdings: KeyHolderReader
  readonly clock: Clock
  readonly events: Pick<BanEvents, "holdersUnknown">
}

/**
 * Who has certificates for keys that are banned, so that the ban of a key finds streams. The issuance log is asked once for each
 * ban, after it is in force here: from then on nobody is given a certificate for that key, so whoever is not found never is.
 * Bounded by the certificates that had not expired at the last reading.
 */
export class KeyHolders {
  readonly #deps: KeyHoldersDeps
  /** Name of a holder to the keys, and when its last certificate for each expires. */
  readonly #keys = new Map<string, Map<string, Instant>>()
  readonly #wanted: Wanted[] = []
  readonly #failed: Wanted[] = []

  constructor(deps: KeyHoldersDeps) {
    this.#deps = deps
  }

  /** The bans of keys, in force, for which `subject` has a certificate. */
  bansOf(subject: BanSubject): readonly RecordedBan[] {
    if (this.#keys.size === 0) return []
    const now = this.#deps.clock.now()
    const held = holderNames(subject).flatMap((name) => [...(this.#keys.get(name) ?? [])])
    return held.flatMap(([spkiSha256, notAfter]) => {
      const ban = notAfter > now ? this.#deps.bans.find({ kind: "key", spkiSha256 }) : undefined
      return ban ?? []
    })
  }

  /** Resolves when it is known who had a certificate for `key` after this call. While the log cannot be read that is tried again. */
  learn(key: string): Promise<void> {
    const known = Promise.withResolvers<void>()
    this.#wanted.push({ key, known })
    if (this.#wanted.length === 1) queueMicrotask(() => void this.#read()) // those that were banned together are one question
    return known.promise
  }

  adopt(rows: readonly KeyHolder[]): void {
    this.#forgetExpired()
    for (const row of rows) {
      const name = holderName(row)
      const keys = this.#keys.get(name) ?? new Map<string, Instant>()
      this.#keys.set(name, keys.set(row.key, row.notAfter))
    }
  }

  /** Ask again about what could not be read, until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#deps.clock.sleep(RETRY_EVERY, signal)
      this.#wanted.push(...this.#failed.splice(0))
      await this.#read()
    }
  }

  async #read(): Promise<void> {
    const wanted = this.#wanted.splice(0)
    if (wanted.length === 0) return
    const { holdings, clock, events } = this.#deps
    try {
      const keys = wanted.map(({ key }) => key)
      this.adopt(await holdings.readKeyHolders(keys, clock.now()))
      for (const { known } of wanted) known.resolve()
    } catch (thrown) {
      this.#failed.push(...wanted)
      events.holdersUnknown(thrown)
    }
  }

  #forgetExpired(): void {
    const now = this.#deps.clock.now()
    for (const [name, keys] of this.#keys) {
      for (const [key, notAfter] of keys) if (notAfter <= now) keys.delete(key)
      if (keys.size === 0) this.#keys.delete(name)
    }
  }
}

/**
 * With what is known of the bans that are in force already. @param atStart reads the log before anybody is served
 * @throws IdentityError when it cannot be read, which is not asked while no key is banned
 */
export async function openKeyHolders(deps: KeyHoldersDeps, atStart: KeyHolderReader): Promise<KeyHolders> {
  const holders = new KeyHolders(deps)
  const keys = deps.bans.inForce().flatMap(({ ban: { target } }) => (target.kind === "key" ? [target.spkiSha256] : []))
  if (keys.length > 0) holders.adopt(await atStart.readKeyHolders(keys, deps.clock.now()))
  return holders
}

/** Whether a subject is one of `rows`: that identity, in that pod; where a token names no pod, in that namespace. */
export function isOneOf(rows: readonly KeyHolder[]): (subject: BanSubject) => boolean {
  const names = new Set(rows.map(holderName))
  return (subject) => holderNames(subject).some((name) => names.has(name))
}

function holderNames({ ids, places }: BanSubject): readonly string[] {
  return places.flatMap(({ cluster, namespace, podUid }) => ids.map((id) => `${id} ${cluster}/${namespace}/${podUid}`))
}

function holderName({ spiffeId, holder: { cluster, namespace, podUid } }: KeyHolder): string {
  return `${spiffeId} ${cluster}/${namespace}/${podUid}`
}

interface Wanted {
  readonly key: string
  readonly known: PromiseWithResolvers<void>
}

const RETRY_EVERY: Millis = 1000
