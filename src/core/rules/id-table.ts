import type { SpiffeId } from "../spiffe/id.ts"
import type { IdPattern } from "./id-pattern.ts"

/**
 * Values by pattern, found by ID. A look-up costs one probe for the ID and one for each length of prefix that is in the table,
 * whatever the number of patterns. @see POL-01
 */
export class IdTable<T> {
  readonly #exact = new Map<string, T[]>()
  readonly #below = new Map<string, T[]>()
  /** Numbers of slashes in the prefixes that are there. */
  readonly #depths = new Set<number>()
  #largest = 0

  add(pattern: IdPattern, value: T): void {
    const map = pattern.kind === "exact" ? this.#exact : this.#below
    const key = pattern.kind === "exact" ? pattern.id : pattern.prefix
    const bucket = map.get(key)
    if (bucket === undefined) map.set(key, [value])
    else bucket.push(value)
    this.#largest = Math.max(this.#largest, bucket?.length ?? 1)
    if (pattern.kind === "below") this.#depths.add(key.split("/").length - 1)
  }

  /** The values of every pattern that matches, one list for each pattern. */
  find(id: SpiffeId): readonly (readonly T[])[] {
    const found: (readonly T[])[] = []
    const exact = this.#exact.get(id)
    if (exact !== undefined) found.push(exact)
    let left = this.#depths.size
    let depth = 1
    for (let slash = id.indexOf("/", PAST_SCHEME); slash !== -1 && left > 0; slash = id.indexOf("/", slash + 1)) {
      depth++
      if (!this.#depths.has(depth)) continue
      left--
      const below = this.#below.get(id.slice(0, slash))
      if (below !== undefined) found.push(below)
    }
    return found
  }

  has(id: SpiffeId): boolean {
    return this.find(id).length > 0
  }

  /** How many values the fullest pattern has. */
  get largest(): number {
    return this.#largest
  }
}

/** `spiffe://` has two slashes; the first one after them ends the trust domain. */
const PAST_SCHEME = "spiffe://".length
