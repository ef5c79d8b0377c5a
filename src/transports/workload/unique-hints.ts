/**
 * The same list with each hint at most once: the first holder keeps it, later ones lose theirs, and so does a hint longer
 * than 1024 bytes. @see WA-10
 */
export function uniqueHints<T extends { readonly hint: string }>(items: readonly T[]): readonly T[] {
  const taken = new Set<string>()
  return items.map((item) => {
    if (item.hint === "") return item
    if (taken.has(item.hint) || Buffer.byteLength(item.hint) > MAX_HINT) return { ...item, hint: "" }
    taken.add(item.hint)
    return item
  })
}

const MAX_HINT = 1024
