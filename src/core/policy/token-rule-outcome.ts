import type { ConditionParty, ConditionResult, TokenConditionInput } from "../rules/condition.ts"
import type { IdPattern } from "../rules/id-pattern.ts"
import { matchesPattern, patternText } from "../rules/id-pattern.ts"
import type { AcceptRuleSpec, ExportRuleSpec } from "../rules/token-rule.ts"
import { ANY_AUDIENCE } from "../rules/token-rule-index.ts"
import type { CompiledAccept, CompiledTokenRule } from "../rules/token-rule-table.ts"
import { pathOf, type SpiffeId, trustDomainOf } from "../spiffe/id.ts"
import type { TokenQuestion } from "./token-question.ts"

/** What a rule can fail in, in the order in which it is tried. */
export const TOKEN_CONDITIONS = [
  "audience",
  "subject",
  "mode",
  "client",
  "actor",
  "product",
  "grant",
  "scope",
  "binding",
  "when",
] as const
export type TokenCondition = (typeof TOKEN_CONDITIONS)[number]

/** A question about one of its audiences. */
export interface AskedToken {
  readonly question: TokenQuestion
  readonly audience: string
}

export type AnyTokenRule = CompiledTokenRule<ExportRuleSpec> | CompiledTokenRule<AcceptRuleSpec>

/** The first condition of a rule that fails, for a rule whose audience and subject match; `undefined`: it covers the question. */
export function failureOf(rule: AnyTokenRule, asked: AskedToken): TokenCondition | undefined {
  const { question } = asked
  if (!rule.spec.modes.includes(question.mode)) return "mode"
  if (rule.clients?.table.has(question.client) === false) return "client"
  const [actor] = question.actors
  if (actor !== undefined && rule.actors?.table.has(actor) === false) return "actor"
  const failed = isAccept(rule) ? contentFailure(rule.spec, question) : undefined
  if (failed !== undefined) return failed
  return meetsCondition(rule, asked).kind === "matched" ? undefined : "when"
}

/** The same for any rule. */
export function fullFailureOf(rule: AnyTokenRule, asked: AskedToken): TokenCondition | undefined {
  const { audiences } = rule.spec
  if (!audiences.includes(asked.audience) && !audiences.includes(ANY_AUDIENCE)) return "audience"
  if (!rule.subjects.some((pattern) => matchesPattern(pattern, asked.question.subject))) return "subject"
  return failureOf(rule, asked)
}

/** What the failed condition saw and what it wants, for operators. */
export function describeFailure(rule: AnyTokenRule, failed: TokenCondition, asked: AskedToken): string {
  const { question, audience } = asked
  switch (failed) {
    case "audience":
      return `audience is "${audience}", not ${oneOf(rule.spec.audiences)}`
    case "subject":
      return `subject is "${question.subject}", not ${oneOf(texts(rule.subjects))}`
    case "client":
      return `client is "${question.client}", not ${oneOf(texts(rule.clients?.patterns))}`
    case "mode":
      return `mode is "${question.mode}", not ${oneOf(rule.spec.modes)}`
    case "actor":
      return `actor is "${question.actors[0] ?? ""}", not ${oneOf(texts(rule.actors?.patterns))}`
    case "when":
      return describeCondition(rule, asked)
    case "product":
    case "grant":
    case "binding":
    case "scope":
      return isAccept(rule) ? describeContent(rule.spec, failed, question) : failed
    default:
      return failed satisfies never
  }
}

function describeContent(
  spec: AcceptRuleSpec,
  failed: "product" | "grant" | "binding" | "scope",
  question: TokenQuestion,
): string {
  if (failed === "product") return `product is "${question.product}", not ${oneOf(spec.products)}`
  if (failed === "grant") return `grant is "${question.grant}", not ${oneOf(spec.grants)}`
  if (failed === "binding") return `binding is "${question.binding}", not ${oneOf(spec.bindings)}`
  const scope = question.scopes?.find((name) => !spec.scopes.includes(name)) ?? ""
  return `scope "${scope}" is not ${spec.scopes.length === 0 ? "given: there are none" : oneOf(spec.scopes)}`
}

function contentFailure(spec: AcceptRuleSpec, question: TokenQuestion): TokenCondition | undefined {
  if (!spec.products.includes(question.product)) return "product"
  if (!spec.grants.includes(question.grant)) return "grant"
  if (question.scopes?.every((scope) => spec.scopes.includes(scope)) === false) return "scope"
  if (!spec.bindings.includes(question.binding) && !spec.bindings.includes("none")) return "binding"
  return undefined
}

function isAccept(rule: AnyTokenRule): rule is CompiledAccept {
  return "products" in rule.spec
}

function meetsCondition(rule: AnyTokenRule, asked: AskedToken): ConditionResult {
  return rule.condition === undefined ? { kind: "matched" } : rule.condition(inputOf(asked))
}

/** @see POL-05 */
function describeCondition(rule: AnyTokenRule, asked: AskedToken): string {
  const result = meetsCondition(rule, asked)
  const because = result.kind === "error" ? `could not be decided: ${result.reason}` : "is false"
  return `${rule.spec.when} ${because}`
}

/** @see POL-07 SCA-09 */
function inputOf({ question, audience }: AskedToken): TokenConditionInput {
  const { grant, product, mode, binding, scopes, ttl } = question
  const [actor] = question.actors
  return {
    subject: party(question.subject),
    client: party(question.client),
    actor: actor === undefined ? {} : party(actor),
    request: {
      grant,
      product,
      mode,
      audience,
      binding,
      ...(scopes === undefined ? {} : { scopes }),
      ...(ttl === undefined ? {} : { ttl: BigInt(Math.floor(ttl)) }),
    },
  }
}

function party(id: SpiffeId): ConditionParty {
  return { id, trust_domain: trustDomainOf(id), path: pathOf(id) }
}

function texts(patterns: readonly IdPattern[] | undefined): readonly string[] {
  return patterns?.map(patternText) ?? []
}

function oneOf(values: readonly string[]): string {
  const shown = values.slice(0, 3).map((value) => `"${value}"`)
  return values.length > 3 ? `${shown.join(", ")} or ${values.length - 3} more` : shown.join(" or ")
}
