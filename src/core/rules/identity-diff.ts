import type { RuleTable } from "./rule-table.ts"

/** Names of identity rules that two tables do not have alike. By the text of rules: what they give follows from the callers. */
export interface IdentityRuleChanges {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
  /** The rules that both have stand in another order, which decides on default identities and hints. */
  readonly reordered: boolean
  /** Clusters whose bounds are others, which bound what rules can give. */
  readonly clusters: readonly string[]
}

export function diffIdentityRules(before: RuleTable, after: RuleTable): IdentityRuleChanges {
  const [old, next] = [textsOf(before), textsOf(after)]
  const kept = [...old.keys()].filter((name) => next.has(name))
  const keptNow = [...next.keys()].filter((name) => old.has(name))
  const clusters = new Set([...before.clusters.keys(), ...after.clusters.keys()])
  return {
    added: [...next.keys()].filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !next.has(name)),
    changed: kept.filter((name) => old.get(name) !== next.get(name)),
    reordered: kept.some((name, i) => name !== keptNow[i]),
    clusters: [...clusters].filter(
      (name) => JSON.stringify(before.clusters.get(name)) !== JSON.stringify(after.clusters.get(name)),
    ),
  }
}

function textsOf({ rules }: RuleTable): ReadonlyMap<string, string> {
  return new Map(rules.map(({ spec }) => [spec.name, JSON.stringify(spec)]))
}
