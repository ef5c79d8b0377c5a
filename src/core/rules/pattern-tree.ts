import type { SpiffeId } from "../spiffe/id.ts"
import { type IdPattern, patternText } from "./id-pattern.ts"

/**
 * Patterns cut into classes: the IDs of a class match the same patterns of the tree, so that one of them stands for all. A class
 * is one pattern without those below it; what no pattern matches is in no class.
 */
export interface IdClass {
  readonly pattern: IdPattern
  /** Parts of the pattern that are not in the class. */
  readonly except: readonly IdPattern[]
}

/** Groups the classes of some patterns by what is `found` of each; empty texts are left out. @see TPO-12 */
export function groupClasses<Found>(
  patterns: readonly IdPattern[],
  find: (representative: SpiffeId) => Found,
  textOf: (found: Found) => string,
): readonly { readonly classes: readonly IdClass[]; readonly found: Found }[] {
  const nodes = treeOf(patterns)
  const texts = new Map<Node, string>()
  const groups = new Map<string, { readonly found: Found; readonly heads: Node[] }>()
  const exceptions = new Map<Node, IdPattern[]>()
  const headOf = new Map<Node, Node>()
  for (const node of nodes) {
    const found = find(representativeOf(node.pattern))
    const text = textOf(found)
    texts.set(node, text)
    const parentHead = node.parent === undefined ? undefined : headOf.get(node.parent)
    if (parentHead !== undefined && texts.get(parentHead) === text) {
      headOf.set(node, parentHead)
      continue
    }
    headOf.set(node, node)
    if (parentHead !== undefined) exceptions.set(parentHead, [...(exceptions.get(parentHead) ?? []), node.pattern])
    if (text === "") continue
    const group = groups.get(text)
    if (group === undefined) groups.set(text, { found, heads: [node] })
    else group.heads.push(node)
  }
  return [...groups.values()].map(({ found, heads }) => ({
    found,
    classes: heads.map((head) => ({ pattern: head.pattern, except: exceptions.get(head) ?? [] })),
  }))
}

interface Node {
  readonly pattern: IdPattern
  /** The smallest pattern of the tree around this one. */
  readonly parent: Node | undefined
}

/** Parents before their children. */
function treeOf(patterns: readonly IdPattern[]): readonly Node[] {
  const unique = new Map(patterns.map((pattern) => [patternText(pattern), pattern]))
  const sorted = [...unique.values()].sort(
    (a, b) => keyOf(a).length - keyOf(b).length || order(patternText(a), patternText(b)),
  )
  const below = new Map<string, Node>()
  return sorted.map((pattern) => {
    const node = { pattern, parent: nearestAbove(keyOf(pattern), below) }
    if (pattern.kind === "below") below.set(pattern.prefix, node)
    return node
  })
}

function nearestAbove(key: string, below: ReadonlyMap<string, Node>): Node | undefined {
  for (let end = key.lastIndexOf("/"); end > 0; end = key.lastIndexOf("/", end - 1)) {
    const found = below.get(key.slice(0, end))
    if (found !== undefined) return found
  }
  return undefined
}

/** An ID that matches a pattern and no smaller one, as no ID in a rule has a star in it. */
function representativeOf(pattern: IdPattern): SpiffeId {
  return pattern.kind === "exact" ? pattern.id : (`${pattern.prefix}/*` as SpiffeId)
}

function keyOf(pattern: IdPattern): string {
  return pattern.kind === "exact" ? pattern.id : pattern.prefix
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
