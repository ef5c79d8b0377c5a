import { decideToken } from "../../core/policy/decide-token.ts"
import type { TokenDecision, TokenQuestion } from "../../core/policy/token-question.ts"
import { type AnyTokenRule, describeFailure, fullFailureOf } from "../../core/policy/token-rule-outcome.ts"
import type { RuleTable } from "../../core/rules/rule-table.ts"

/** Why a question about a token gets its answer. */
export interface TokenExplanation {
  /** What the token endpoint would decide. */
  readonly decision: TokenDecision
  /** For each audience, the rules that could have a say: those for the audience and the subject, exports first, in order. */
  readonly rules: readonly ExplainedTokenRule[]
}

export interface ExplainedTokenRule {
  readonly audience: string
  readonly side: "export" | "accept"
  readonly rule: string
  /** `decides`: the first of its side that covers the question. `covers`: a later one. */
  readonly verdict: "decides" | "covers" | "no"
  /** The first condition that failed, with the value it saw; else empty. */
  readonly detail: string
}

/** The decision on a question, with the part that each rule has in it. Pure. @see TPO-10 */
export function explainToken(question: TokenQuestion, table: RuleTable): TokenExplanation {
  const { exportIndex, acceptIndex } = table.tokens
  const rules = question.audiences.flatMap((audience) => [
    ...verdicts("export", exportIndex.candidates(audience, question.subject).flat(), question, audience),
    ...verdicts("accept", acceptIndex.candidates(audience, question.subject).flat(), question, audience),
  ])
  return { decision: decideToken(question, table), rules }
}

function verdicts(
  side: ExplainedTokenRule["side"],
  candidates: readonly AnyTokenRule[],
  question: TokenQuestion,
  audience: string,
): readonly ExplainedTokenRule[] {
  const asked = { question, audience }
  const inOrder = [...new Set(candidates)].sort((a, b) => a.ordinal - b.ordinal)
  const first = inOrder.find((rule) => fullFailureOf(rule, asked) === undefined)
  return inOrder.map((rule) => {
    const failed = fullFailureOf(rule, asked)
    const verdict = failed !== undefined ? "no" : rule === first ? "decides" : "covers"
    const detail = failed === undefined ? "" : describeFailure(rule, failed, asked)
    return { audience, side, rule: rule.spec.name, verdict, detail }
  })
}
