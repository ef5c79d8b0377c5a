import type { TokenQuestion } from "../../src/core/policy/token-question.ts"
import type { AcceptRuleSpec, ExportRuleSpec, TokenRulesSpec } from "../../src/core/rules/token-rule.ts"

/** The pair that decides about one audience. */
export interface OraclePair {
  readonly exports: ExportRuleSpec
  readonly accepts: AcceptRuleSpec
}

/** Texts of the conditions that hold. */
export type Holding = ReadonlySet<string>

/**
 * Every pair of rules that covers a question about one audience, in the order of the rules: by the words of spec/46, over the rules
 * as they are written, without index, compiler or any code of the product. The trust domain is `prod.example`.
 */
export function coveringPairs(
  question: TokenQuestion,
  audience: string,
  rules: TokenRulesSpec,
  holding: Holding,
): readonly OraclePair[] {
  const found: OraclePair[] = []
  for (const source of rules.exports) {
    for (const target of rules.accepts) {
      if (exportCovers(source, question, audience, holding) && acceptCovers(target, question, audience, holding)) {
        found.push({ exports: source, accepts: target })
      }
    }
  }
  return found
}

/** What no rule can allow. */
export function isForbidden(question: TokenQuestion): boolean {
  const { client, subject, actors, mode, product, scopes, subjectScopes } = question
  const [actor] = actors
  const reserved = (id: string | undefined) => id !== undefined && /^spiffe:\/\/prod\.example\/assay(\/|$)/.test(id)
  if (mode === "self" && (client !== subject || actor !== undefined)) return true
  if (mode === "impersonation" && actor !== undefined) return true
  if (mode === "delegation" && actor === undefined) return true
  if (reserved(client) || reserved(subject) || reserved(actor)) return true
  if (product !== "access-token" && (mode === "delegation" || !subject.startsWith("spiffe://prod.example/")))
    return true
  if (product !== "access-token" && subjectScopes !== undefined) return true
  return (scopes ?? []).some((scope) => subjectScopes !== undefined && !subjectScopes.includes(scope))
}

function exportCovers(rule: ExportRuleSpec, question: TokenQuestion, audience: string, holding: Holding): boolean {
  const [actor] = question.actors
  if (!rule.audiences.includes(audience) && !rule.audiences.includes("*")) return false
  if (!matchesAny(rule.subjects, question.subject)) return false
  if (!rule.modes.includes(question.mode)) return false
  if (rule.clients === undefined ? question.client !== question.subject : !matchesAny(rule.clients, question.client)) {
    return false
  }
  if (actor !== undefined && !matchesAny(rule.actors ?? rule.clients ?? [], actor)) return false
  return rule.when === undefined || holding.has(rule.when)
}

function acceptCovers(rule: AcceptRuleSpec, question: TokenQuestion, audience: string, holding: Holding): boolean {
  const [actor] = question.actors
  if (!rule.audiences.includes(audience)) return false
  if (!matchesAny(rule.subjects, question.subject)) return false
  if (rule.clients !== undefined && !matchesAny(rule.clients, question.client)) return false
  if (rule.actors !== undefined && actor !== undefined && !matchesAny(rule.actors, actor)) return false
  if (!rule.modes.includes(question.mode)) return false
  if (!rule.products.includes(question.product)) return false
  if (!rule.grants.includes(question.grant)) return false
  if (!rule.bindings.includes("none") && !rule.bindings.includes(question.binding)) return false
  if ((question.scopes ?? []).some((scope) => !rule.scopes.includes(scope))) return false
  return rule.when === undefined || holding.has(rule.when)
}

function matchesAny(patterns: readonly string[], id: string): boolean {
  return patterns.some((pattern) => {
    if (pattern === "*") return /^spiffe:\/\/prod\.example\/./.test(id)
    const whole = pattern.startsWith("/") ? `spiffe://prod.example${pattern}` : pattern
    return whole.endsWith("/*") ? id.startsWith(whole.slice(0, -1)) && id.length >= whole.length : id === whole
  })
}
