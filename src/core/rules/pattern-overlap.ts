import { type IdPattern, patternText } from "./id-pattern.ts"

/** Values by pattern, found by what their patterns have in common with another: those around it, and those within it. */
export class PatternOverlap<T> {
  readonly #values = new Map<string, T[]>()
  /** Texts of the patterns in order, so that those within a prefix stand together. */
  readonly #sorted: readonly string[]

  constructor(entries: Iterable<readonly [IdPattern, T]>) {
    for (const [pattern, value] of entries) {
      const text = patternText(pattern)
      const bucket = this.#values.get(text)
      if (bucket === undefined) this.#values.set(text, [value])
      else bucket.push(value)
    }
    this.#sorted = [...this.#values.keys()].sort()
  }

  /** Those that have an ID in common with the pattern. A value comes as often as it has such patterns. */
  *find(pattern: IdPattern): Generator<T> {
    yield* this.around(pattern)
    if (pattern.kind === "exact") return
    const [whole, within] = [patternText(pattern), `${pattern.prefix}/`]
    for (let i = this.#firstFrom(within); this.#sorted[i]?.startsWith(within) === true; i++) {
      const text = this.#sorted[i] ?? ""
      if (text !== whole) yield* this.#values.get(text) ?? []
    }
  }

  /** Those that have every ID of the pattern. */
  *around(pattern: IdPattern): Generator<T> {
    yield* this.#values.get(patternText(pattern)) ?? []
    const key = pattern.kind === "exact" ? pattern.id : pattern.prefix
    for (let end = key.lastIndexOf("/"); end > 0; end = key.lastIndexOf("/", end - 1)) {
      yield* this.#values.get(`${key.slice(0, end)}/*`) ?? []
    }
  }

  #firstFrom(text: string): number {
    let [low, high] = [0, this.#sorted.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#sorted[middle] ?? "") < text) low = middle + 1
      else high = middle
    }
    return low
  }
}
