import type { ClusterBounds } from "./rule.ts"
import type { CompiledRule } from "./rule-table.ts"
import type { TemplatePart } from "./template.ts"

/** The paths that one cluster can mint, as a trie over path segments. Never smaller than the truth. */
export class IdSpace {
  readonly #literals = new Map<string, IdSpace>()
  #wildcard: IdSpace | undefined
  #rule: string | undefined

  /** The first rule of each that can give the same path, or `undefined` when no path is in both. */
  overlap(other: IdSpace): readonly [string, string] | undefined {
    if (this.#rule !== undefined && other.#rule !== undefined) return [this.#rule, other.#rule]
    for (const [text, child] of this.#literals) {
      const found = overlapOf(child, other.#literals.get(text)) ?? overlapOf(child, other.#wildcard)
      if (found !== undefined) return found
    }
    if (this.#wildcard === undefined) return undefined
    for (const child of other.#literals.values()) {
      const found = this.#wildcard.overlap(child)
      if (found !== undefined) return found
    }
    return overlapOf(this.#wildcard, other.#wildcard)
  }

  /** @param segments each the values that it can have, or `undefined` for any */
  add(segments: readonly (readonly string[] | undefined)[], rule: string): void {
    const [first, ...rest] = segments
    if (segments.length === 0) this.#rule ??= rule
    else if (first === undefined) this.#anything().add(rest, rule)
    else for (const value of first) this.#literal(value).add(rest, rule)
  }

  #literal(text: string): IdSpace {
    const child = this.#literals.get(text) ?? new IdSpace()
    this.#literals.set(text, child)
    return child
  }

  #anything(): IdSpace {
    this.#wildcard ??= new IdSpace()
    return this.#wildcard
  }
}

/** What the rules can give to callers of one cluster, within its bounds. */
export function idSpaceOf(cluster: ClusterBounds, rules: readonly CompiledRule[]): IdSpace {
  const space = new IdSpace()
  const prefix = cluster.pathPrefix?.slice(1).split("/") ?? []
  for (const rule of rules) {
    if (rule.spec.clusters?.includes(cluster.name) === false) continue
    const namespaces = intersect(rule.spec.namespaces, cluster.namespaces)
    if (namespaces?.length === 0) continue
    const segments = pathSegments(rule).map((parts) => valuesOf(parts, rule, cluster, namespaces))
    const bounded = within(segments, prefix)
    if (bounded !== undefined) space.add(bounded, rule.spec.name)
  }
  return space
}

type Values = readonly string[] | undefined

/** The parts of each segment of the path. A value never has a slash in it, so templates can be cut at theirs. */
export function pathSegments({ id }: CompiledRule): readonly (readonly TemplatePart[])[] {
  const segments: TemplatePart[][] = [[]]
  for (const part of id.parts) {
    if (part.kind === "variable") {
      segments.at(-1)?.push(part)
      continue
    }
    for (const [i, text] of part.text.split("/").entries()) {
      if (i > 0) segments.push([])
      if (text !== "") segments.at(-1)?.push({ kind: "literal", text })
    }
  }
  return segments.slice(AUTHORITY_SEGMENTS)
}

function valuesOf(
  parts: readonly TemplatePart[],
  rule: CompiledRule,
  cluster: ClusterBounds,
  namespaces: Values,
): Values {
  const known = { namespace: namespaces, service_account: rule.spec.serviceAccounts }
  let text = ""
  for (const part of parts) {
    if (part.kind === "literal") text += part.text
    else if (part.name === "cluster") text += cluster.name
    else if (parts.length > 1) return undefined
    else return part.name === "namespace" || part.name === "service_account" ? known[part.name] : undefined
  }
  return [text]
}

/** The segments that also stand under the prefix, or `undefined` when none do. */
function within(segments: readonly Values[], prefix: readonly string[]): readonly Values[] | undefined {
  if (segments.length < prefix.length) return undefined
  const bounded = segments.map((values, i) => intersect(values, i < prefix.length ? prefix.slice(i, i + 1) : undefined))
  return bounded.some((values) => values?.length === 0) ? undefined : bounded
}

function intersect(a: Values, b: Values): Values {
  if (a === undefined || b === undefined) return a ?? b
  const other = new Set(b)
  return a.filter((value) => other.has(value))
}

function overlapOf(a: IdSpace, b: IdSpace | undefined): readonly [string, string] | undefined {
  return b === undefined ? undefined : a.overlap(b)
}

/** `spiffe:`, nothing, and the trust domain. */
const AUTHORITY_SEGMENTS = 3
