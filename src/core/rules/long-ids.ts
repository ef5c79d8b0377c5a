import type { RuleProblem, RuleTableSpec } from "./rule.ts"
import type { CompiledRule } from "./rule-table.ts"
import type { TemplateVariable } from "./template.ts"

/**
 * Rules whose IDs OIDC relying parties may refuse as subject: with the names that a rule lists, and of 63 characters, which
 * few tools exceed, where it lists none. @see RUL-17 DISC-13
 */
export function* longIds(
  rules: readonly CompiledRule[],
  { clusters }: Pick<RuleTableSpec, "clusters">,
): Generator<RuleProblem> {
  const names = clusters.map(({ name }) => name)
  for (const rule of rules) {
    const longest = longestId(rule, names)
    if (longest <= OIDC_SUBJECT) continue
    const message = `can give IDs of ${longest} characters; OIDC relying parties do not accept more than ${OIDC_SUBJECT} as subject`
    yield { path: ["rules", rule.ordinal, "spiffe_id"], message }
  }
}

function longestId({ id, spec }: CompiledRule, clusters: readonly string[]): number {
  const lengths: Readonly<Record<TemplateVariable, number>> = {
    cluster: longestOf(spec.clusters ?? clusters),
    namespace: longestOf(spec.namespaces),
    service_account: longestOf(spec.serviceAccounts),
    pod: ORDINARY_NAME,
    pod_uid: UID,
    node: ORDINARY_NAME,
    node_uid: UID,
  }
  return id.parts.reduce((sum, part) => sum + (part.kind === "literal" ? part.text.length : lengths[part.name]), 0)
}

function longestOf(listed: readonly string[] | undefined): number {
  if (listed === undefined) return ORDINARY_NAME
  return Math.max(1, ...listed.map((name) => name.length))
}

const OIDC_SUBJECT = 255
const ORDINARY_NAME = 63
const UID = 36
