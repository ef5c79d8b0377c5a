import { isReserved, type SpiffeId } from "../spiffe/id.ts"
import type { Instant } from "../time.ts"
import {
  BAN_KINDS,
  type BanKind,
  type BanTarget,
  banName,
  endOf,
  isInForce,
  MAX_PREFIX_SEGMENTS,
  type RecordedBan,
} from "./ban.ts"

/** All that is known of those who take part in something, and by which any of them can be banned. */
export interface BanSubject {
  readonly ids: readonly SpiffeId[]
  readonly places: readonly BanPlace[]
  /** As in a target of kind `key`. */
  readonly keys: readonly string[]
}

/** Where somebody runs; empty text is unknown. */
export interface BanPlace {
  readonly cluster: string
  readonly namespace: string
  readonly podUid: string
  readonly node: string
}

/** What the server does for itself concerns nobody. */
export const NOBODY: BanSubject = { ids: [], places: [], keys: [] }

/** Bans by kind and name: a look-up costs the same for one ban as for ten thousand. @see BAN-03 */
export class BanIndex {
  readonly #byKind: Readonly<Record<BanKind, Map<string, RecordedBan>>> = {
    identity: new Map(),
    prefix: new Map(),
    cluster: new Map(),
    namespace: new Map(),
    node: new Map(),
    pod: new Map(),
    key: new Map(),
  }
  #size = 0

  /** Take over `recorded`, unless something newer is known of its target. */
  put(recorded: RecordedBan): void {
    const { target } = recorded.ban
    const known = this.#byKind[target.kind].get(banName(target))
    if (known !== undefined && known.sequence > recorded.sequence) return
    this.#byKind[target.kind].set(banName(target), recorded)
    if (known === undefined) this.#size++
  }

  /** Drop what ended before `before`. */
  forget(before: Instant): void {
    for (const bans of Object.values(this.#byKind)) {
      for (const [name, recorded] of bans) {
        if ((endOf(recorded) ?? before) < before && bans.delete(name)) this.#size--
      }
    }
  }

  get isEmpty(): boolean {
    return this.#size === 0
  }

  find(target: BanTarget): RecordedBan | undefined {
    return this.#byKind[target.kind].get(banName(target))
  }

  /** Whether it knows a ban of any of these kinds, in force or not. */
  hasAny(kinds: readonly BanKind[]): boolean {
    return kinds.some((kind) => this.#byKind[kind].size > 0)
  }

  all(): readonly RecordedBan[] {
    return BAN_KINDS.flatMap((kind) => [...this.#byKind[kind].values()])
  }

  /** Every ban that names one of `subject`, in force or not. Assay's own identities are nobody's business. */
  *matches(subject: BanSubject): Generator<RecordedBan, void, void> {
    if (this.hasAny(OF_IDS)) for (const id of subject.ids) if (!isReserved(id)) yield* this.#matchesOfId(id)
    if (this.hasAny(OF_PLACES)) for (const place of subject.places) yield* this.#matchesOfPlace(place)
    if (this.#byKind.key.size > 0) for (const key of subject.keys) yield* this.#named("key", key)
  }

  *#matchesOfId(id: SpiffeId): Generator<RecordedBan, void, void> {
    yield* this.#named("identity", id)
    if (this.#byKind.prefix.size === 0) return
    let end = id.indexOf("/", SCHEME_LENGTH)
    for (let segments = 0; segments <= MAX_PREFIX_SEGMENTS; segments++) {
      yield* this.#named("prefix", end === -1 ? id : id.slice(0, end))
      if (end === -1) return
      end = id.indexOf("/", end + 1)
    }
  }

  *#matchesOfPlace({ cluster, namespace, podUid, node }: BanPlace): Generator<RecordedBan, void, void> {
    if (cluster === "") return
    yield* this.#named("cluster", cluster)
    yield* this.#named("namespace", `${cluster}/${namespace}`)
    yield* this.#named("node", `${cluster}/${node}`)
    yield* this.#named("pod", podUid)
  }

  *#named(kind: BanKind, name: string): Generator<RecordedBan, void, void> {
    const recorded = this.#byKind[kind].get(name)
    if (recorded !== undefined) yield recorded
  }
}

/** Whether one of `targets` names one of a subject. */
export function namedBy(...targets: readonly BanTarget[]): (subject: BanSubject) => boolean {
  const index = new BanIndex()
  for (const target of targets) {
    const ban = { target, reason: "", actor: "", createdAt: 0, until: undefined }
    index.put({ sequence: 0, ban, liftedAt: undefined })
  }
  return (subject) => index.matches(subject).next().done !== true
}

/** The ban by which nothing may be issued to `subject` now; `undefined`: there is none. @see BAN-01 BAN-07 */
export function matchBan(index: BanIndex, subject: BanSubject, now: Instant): RecordedBan | undefined {
  for (const recorded of index.matches(subject)) if (isInForce(recorded, now)) return recorded
  return undefined
}

/**
 * Whether a token of `subject` that was issued at `issuedAt` is dead: there is a ban in force, or there was one when it was issued
 * or later. So a token does not come back to life when its ban is lifted. @param issuedAt `undefined` is older than every ban
 * @see BAN-08
 */
export function matchToken(
  index: BanIndex,
  subject: BanSubject,
  issuedAt: Instant | undefined,
  now: Instant,
): RecordedBan | undefined {
  for (const recorded of index.matches(subject)) {
    if (isInForce(recorded, now) || (issuedAt ?? 0) <= (endOf(recorded) ?? 0)) return recorded
  }
  return undefined
}

/** Who asks is asked about for each ban of thousands of streams, so nothing is put together that nobody is banned by. */
const OF_IDS = ["identity", "prefix"] as const
const OF_PLACES = ["cluster", "namespace", "node", "pod"] as const
/** `spiffe://`. */
const SCHEME_LENGTH = 9
