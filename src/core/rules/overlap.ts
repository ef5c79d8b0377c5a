import { idSpaceOf } from "./id-space.ts"
import type { ClusterBounds, RuleProblem } from "./rule.ts"
import type { CompiledRule } from "./rule-table.ts"

/**
 * Clusters that could mint the same ID, each with the clusters before it. Whoever controls one of the two could be any
 * workload of the other, so both must say that they are shared. @see RUL-09
 */
export function* overlappingClusters(
  rules: readonly CompiledRule[],
  clusters: readonly ClusterBounds[],
): Generator<RuleProblem> {
  const spaces = clusters.map((cluster) => ({ cluster, space: idSpaceOf(cluster, rules) }))
  for (const [i, later] of spaces.entries()) {
    for (const earlier of spaces.slice(0, i)) {
      if (earlier.cluster.shared && later.cluster.shared) continue
      const found = earlier.space.overlap(later.space)
      if (found === undefined) continue
      yield {
        path: ["clusters", i, "bounds"],
        message: overlapMessage(earlier.cluster.name, later.cluster.name, found),
      }
      break
    }
  }
}

function overlapMessage(earlier: string, later: string, [first, second]: readonly [string, string]): string {
  const rules = first === second ? `rule "${first}"` : `rules "${first}" and "${second}"`
  return `clusters "${earlier}" and "${later}" could mint the same SPIFFE ID by ${rules}: use {{cluster}} in spiffe_id, separate them by bounds.path_prefix or bounds.namespaces, or set bounds.shared: true in both`
}
