import type { Attested } from "../../core/policy/attested.ts"
import { decideIdentities } from "../../core/policy/decide.ts"
import type { Decision } from "../../core/policy/grant.ts"
import type { RuleTable } from "../../core/rules/rule-table.ts"

/**
 * Decides by the rules of the moment, once for each caller that was attested and each table of rules: the decision is pure. It is
 * kept as long as the witness is, which is what bounds it. @see ATT-13 RUL-01
 */
export function rememberDecisions(rules: () => RuleTable): (attested: Attested) => Decision {
  const known = new WeakMap<Attested, { readonly table: RuleTable; readonly decision: Decision }>()
  return (attested) => {
    const table = rules()
    const last = known.get(attested)
    if (last?.table === table) return last.decision
    const decision = decideIdentities(attested, table)
    known.set(attested, { table, decision })
    return decision
  }
}
