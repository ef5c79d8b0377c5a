import { isOwnReserved } from "../rules/id-pattern.ts"
import type { RuleTable } from "../rules/rule-table.ts"
import type { TokenRuleIndex } from "../rules/token-rule-index.ts"
import type { CompiledAccept, CompiledExport } from "../rules/token-rule-table.ts"
import { type SpiffeId, trustDomainOf } from "../spiffe/id.ts"
import type { Refusal } from "./grant.ts"
import type { TokenDecision, TokenGrant, TokenQuestion } from "./token-question.ts"
import { TOKEN_REASONS, type TokenReason } from "./token-reason.ts"
import {
  type AnyTokenRule,
  type AskedToken,
  describeFailure,
  failureOf,
  fullFailureOf,
  TOKEN_CONDITIONS,
  type TokenCondition,
} from "./token-rule-outcome.ts"

/**
 * What the rules give for a question. Default deny: for each audience one export and one accept, the first of each in written
 * order, must cover the whole question; rights of several rules are never put together, and what several audiences have in common
 * is what one token for all of them gets. Pure. @see POL-01 POL-08 TPO-01
 */
export function decideToken(question: TokenQuestion, table: RuleTable): TokenDecision {
  const wrong = questionRefusal(question, table)
  if (wrong !== undefined) return refusal(wrong, undefined)
  const pairs: Pair[] = []
  for (const audience of question.audiences) {
    const pair = pairFor({ question, audience }, table)
    if (pair.kind === "refused") return pair
    pairs.push(pair)
  }
  const [first] = pairs
  if (first === undefined) return refusal("inconsistent-question", undefined)
  const conflict = pairs.find(({ accepts }) => accepts.spec.algorithm !== first.accepts.spec.algorithm)
  if (conflict !== undefined) {
    const [wants, others] = [conflict.accepts.spec.algorithm, first.accepts.spec.algorithm]
    const condition = `algorithm is ${wants}, but "${first.accepts.spec.name}" has ${others}`
    return refusal("algorithm-conflict", { rule: conflict.accepts.spec.name, condition })
  }
  return grantOf(question, first, pairs, table)
}

/** The rules that cover a question about one audience. */
interface Pair {
  readonly kind: "pair"
  readonly exports: CompiledExport
  readonly accepts: CompiledAccept
}

/** What no rule can allow. */
function questionRefusal(question: TokenQuestion, { trustDomain }: RuleTable): TokenReason | undefined {
  const { client, subject, actors, mode, product, scopes, subjectScopes } = question
  if (actors.length > 0 !== (mode === "delegation")) return "inconsistent-question"
  if (mode === "self" && client !== subject) return "inconsistent-question"
  const [actor] = actors
  const isReserved = (id: SpiffeId | undefined) => id !== undefined && isOwnReserved(id, trustDomain)
  if (isReserved(client) || isReserved(subject) || isReserved(actor)) return "reserved-identity"
  if (product !== "access-token" && trustDomainOf(subject) !== trustDomain) return "foreign-subject"
  if (product !== "access-token" && mode === "delegation") return "delegation-in-svid"
  if (product !== "access-token" && subjectScopes !== undefined) return "scope-in-svid"
  if (subjectScopes !== undefined && scopes?.every((scope) => subjectScopes.includes(scope)) === false) {
    return "scope-beyond-subject"
  }
  return undefined
}

function pairFor(asked: AskedToken, { tokens }: RuleTable): Pair | Refusal {
  const { audience, question } = asked
  const accepting = tokens.acceptIndex.candidates(audience, question.subject)
  const accepts = firstCovering(accepting, asked)
  const exporting = tokens.exportIndex.candidates(audience, question.subject)
  const exports = firstCovering(exporting, asked)
  if (accepts !== undefined && exports !== undefined) return { kind: "pair", exports, accepts }
  if (!tokens.acceptIndex.knows(audience)) return nearestRefusal("audience-unknown", tokens.acceptIndex, asked)
  if (exports === undefined) return sideRefusal("subject-not-exported", tokens.exportIndex, exporting.flat(), asked)
  return sideRefusal("subject-not-accepted", tokens.acceptIndex, accepting.flat(), asked)
}

/** The first in table order that covers the question. Each list is in table order. */
function firstCovering<Rule extends AnyTokenRule>(
  lists: readonly (readonly Rule[])[],
  asked: AskedToken,
): Rule | undefined {
  let first: Rule | undefined
  for (const list of lists) {
    for (const rule of list) {
      if (first !== undefined && rule.ordinal >= first.ordinal) break
      if (failureOf(rule, asked) !== undefined) continue
      first = rule
      break
    }
  }
  return first
}

/** The candidate that came furthest, and why it did not cover the question; without candidates, what has most in common. */
function sideRefusal<Rule extends AnyTokenRule>(
  reason: TokenReason,
  index: TokenRuleIndex<Rule>,
  candidates: readonly Rule[],
  asked: AskedToken,
): Refusal {
  let best: { readonly rule: Rule; readonly failed: TokenCondition; readonly rank: number } | undefined
  for (const rule of candidates) {
    const failed = failureOf(rule, asked)
    if (failed === undefined) continue
    const rank = TOKEN_CONDITIONS.indexOf(failed)
    const isCloser = best === undefined || rank > best.rank || (rank === best.rank && rule.ordinal < best.rule.ordinal)
    if (isCloser) best = { rule, failed, rank }
  }
  if (best === undefined) return nearestRefusal(reason, index, asked)
  const { rule, failed } = best
  return refusal(REASON_OF[failed], { rule: rule.spec.name, condition: describeFailure(rule, failed, asked) })
}

function nearestRefusal<Rule extends AnyTokenRule>(
  reason: TokenReason,
  index: TokenRuleIndex<Rule>,
  asked: AskedToken,
): Refusal {
  const rule = index.nearest(asked.audience, asked.question.subject)
  const failed = rule === undefined ? undefined : fullFailureOf(rule, asked)
  if (rule === undefined || failed === undefined) return refusal(reason, undefined)
  return refusal(reason, { rule: rule.spec.name, condition: describeFailure(rule, failed, asked) })
}

/** What all pairs have in common. @param first of `pairs` */
function grantOf(question: TokenQuestion, first: Pair, pairs: readonly Pair[], { revision }: RuleTable): TokenGrant {
  const specs = pairs.map(({ accepts }) => accepts.spec)
  const asked = question.scopes ?? first.accepts.spec.defaultScopes
  const { subjectScopes } = question
  const allowed = (scope: string) =>
    subjectScopes?.includes(scope) !== false &&
    specs.every((spec) => (question.scopes === undefined ? spec.defaultScopes : spec.scopes).includes(scope))
  return {
    kind: "granted",
    exports: names(pairs.map(({ exports }) => exports.spec.name)),
    accepts: names(specs.map(({ name }) => name)),
    revision,
    scopes: asked.filter(allowed),
    ttl: Math.min(question.ttl ?? Number.POSITIVE_INFINITY, ...specs.map(({ ttl }) => ttl)),
    algorithm: first.accepts.spec.algorithm,
    mayOutliveSubject: specs.every(({ mayOutliveSubject }) => mayOutliveSubject),
  }
}

/** One name for the usual case; for several audiences each name once, in their order. Names have no comma. */
function names(all: readonly string[]): string {
  const [first = "", ...others] = all
  return others.length === 0 ? first : [...new Set(all)].join(",")
}

function refusal(reason: TokenReason, nearest: Refusal["nearest"]): Refusal {
  return { kind: "refused", reason, ...TOKEN_REASONS[reason], nearest }
}

const REASON_OF = {
  audience: "audience-unknown",
  subject: "subject-not-accepted",
  client: "client-not-allowed",
  mode: "mode-not-allowed",
  actor: "actor-not-allowed",
  product: "product-not-allowed",
  grant: "grant-not-allowed",
  binding: "binding-required",
  scope: "scope-not-allowed",
  when: "condition-not-met",
} as const satisfies Record<TokenCondition, TokenReason>
