import { LastKeySet } from "../../adapters/kube/jwks-keys.ts"

/**
 * What was read last of the sources of keys that one configuration names. The next configuration goes on with it where it names the
 * same source: else one that is adopted while a source is down would end what its last set carries through. @see ATT-17
 */
export class KeySets {
  readonly #before: ReadonlyMap<string, LastKeySet>
  readonly #now = new Map<string, LastKeySet>()

  /** @param before of the configuration in whose place this one comes */
  constructor(before?: KeySets) {
    this.#before = new Map(before === undefined ? [] : before.#now)
  }

  /** @param place where it is read from, and how */
  of(place: string): LastKeySet {
    const last = this.#now.get(place) ?? this.#before.get(place) ?? new LastKeySet()
    this.#now.set(place, last)
    return last
  }
}
