import type { ExplainedTokenRule, TokenExplanation } from "../../app/rules/explain-token.ts"
import type { TokenQuestion } from "../../core/policy/token-question.ts"
import { patternText } from "../../core/rules/id-pattern.ts"
import type { IdentityRuleChanges } from "../../core/rules/identity-diff.ts"
import type { IdClass } from "../../core/rules/pattern-tree.ts"
import type { CompiledRule, RuleTable } from "../../core/rules/rule-table.ts"
import type { TokenAccess } from "../../core/rules/token-access.ts"
import type { GrantChange } from "../../core/rules/token-diff.ts"
import { TOKEN_BINDINGS, TOKEN_GRANTS } from "../../core/rules/token-kinds.ts"
import type { TokenRight } from "../../core/rules/token-rights.ts"
import { type ConfigProblem, renderProblem } from "../config/problem.ts"
import { columns } from "./columns.ts"

export type PolicyForm = "table" | "json"

export interface CheckedPolicy {
  readonly file: string
  /** `undefined` when there are problems. */
  readonly rules: RuleTable | undefined
  readonly problems: readonly ConfigProblem[]
  readonly warnings: readonly ConfigProblem[]
}

export function checkOutput({ file, rules, problems, warnings }: CheckedPolicy, form: PolicyForm): string {
  const counts =
    rules === undefined
      ? {}
      : {
          revision: rules.revision,
          exports: rules.tokens.exports.length,
          accepts: rules.tokens.accepts.length,
          identityRules: rules.rules.length,
        }
  if (form === "json") return json({ valid: rules !== undefined, ...counts, problems, warnings })
  const summary =
    rules === undefined
      ? `${file}: ${problems.length === 1 ? "1 problem" : `${problems.length} problems`}`
      : `${file}: valid, revision ${counts.revision}: exports ${counts.exports}, accepts ${counts.accepts}, identity rules ${counts.identityRules}`
  return lines([
    ...problems.map(renderProblem),
    ...warnings.map((warning) => `${renderProblem(warning)} (warning)`),
    summary,
  ])
}

export function explainOutput(
  question: TokenQuestion,
  { decision, rules }: TokenExplanation,
  form: PolicyForm,
): string {
  if (form === "json") {
    const { kind, ...rest } = decision
    return json({ outcome: kind, ...rest, question, rules })
  }
  return `${[
    section("question", questionRows(question)),
    section("rules", ruleRows(rules)),
    ...(decision.kind === "granted"
      ? [
          `GRANTED  export ${decision.exports}, accept ${decision.accepts}: ${scopeText(decision.scopes)}, ${decision.ttl}s, ${decision.algorithm}${decision.mayOutliveSubject ? ", may outlive its subject token" : ""}`,
        ]
      : [
          `REFUSED  ${decision.reason} (${decision.code}): ${decision.message}`,
          ...(decision.nearest === undefined
            ? []
            : [`nearest rule: ${decision.nearest.rule}: ${decision.nearest.condition}`]),
        ]),
  ].join("\n")}\n`
}

export function whoCanOutput(
  audience: string,
  rights: readonly TokenRight[],
  svidRules: readonly CompiledRule[],
  form: PolicyForm,
): string {
  if (form === "json") {
    return json({ audience, rights: rights.map(rightJson), identityRules: svidRules.map(({ spec }) => spec) })
  }
  const rows = rights.map((right) => [
    patternText(right.subject),
    right.mode === "self" ? "itself" : patternText(right.client),
    right.actor === undefined ? "-" : patternText(right.actor),
    right.products.join(","),
    scopeText(right.scopes),
    `${right.ttl}s`,
    limitsOf(right),
    `${right.exports} > ${right.accepts}`,
    right.when.join(" && ") || "-",
  ])
  const svids = svidRules.map(({ spec }) => [
    spec.name,
    spec.spiffeId,
    `${spec.jwtTtl}s`,
    spec.audiences === undefined ? "any audience" : "by name",
    spec.when ?? "",
  ])
  return lines([
    rows.length === 0 ? `${audience}: nobody by token rules` : `${audience}: by token rules`,
    ...indented(rows.length === 0 ? [] : [WHO_CAN_HEAD, ...rows]),
    svids.length === 0 ? "JWT-SVIDs by identity rules: none" : "JWT-SVIDs by identity rules",
    ...indented(svids),
  ])
}

export function diffOutput(changes: readonly GrantChange[], identities: IdentityRuleChanges, form: PolicyForm): string {
  if (form === "json") return json({ changes: changes.map(changeJson), identityRules: identities })
  const rules = identityLines(identities)
  if (changes.length + rules.length === 0) return "no difference\n"
  return lines([...changes.flatMap(changeLines), ...rules])
}

function changeLines(change: GrantChange): readonly string[] {
  const parties = [
    `subject ${classesText(change.subjects)}`,
    change.clients === undefined ? "client itself" : `client ${classesText(change.clients)}`,
    ...(change.actors === undefined ? [] : [`actor ${classesText(change.actors)}`]),
  ]
  return [
    `${SIGNS[kindOf(change)]} ${change.audience}  ${change.mode}  ${change.products.join(",")}${limitsText(change)}`,
    ...parties.map((party) => `    ${party}`),
    ...accessLines("-", change.before),
    ...accessLines("+", change.after),
  ]
}

function accessLines(sign: string, { exportedWhen, entries }: TokenAccess): readonly string[] {
  const source = exportedWhen.length === 0 ? [] : [`${sign}   only if ${exportedWhen.join(" or ")}`]
  const rows = entries.map(({ when, scopes, defaultScopes, ttl, algorithm, mayOutliveSubject }) => {
    const defaults = scopes.join() === defaultScopes.join() ? "" : ` (default ${defaultScopes.join(" ") || "none"})`
    const condition = when === undefined ? "" : `  when ${when}`
    return `${sign}   ${scopeText(scopes)}${defaults}, ${ttl}s, ${algorithm}${mayOutliveSubject ? ", may outlive its subject token" : ""}${condition}`
  })
  return [...source, ...rows].map((line) => `  ${line}`)
}

function kindOf({ before, after }: GrantChange): keyof typeof SIGNS {
  if (before.entries.length === 0) return "added"
  return after.entries.length === 0 ? "removed" : "changed"
}

function changeJson(change: GrantChange) {
  const { subjects, clients, actors, ...rest } = change
  return {
    kind: kindOf(change),
    ...rest,
    subjects: subjects.map(classJson),
    clients: clients?.map(classJson) ?? null,
    actors: actors?.map(classJson) ?? null,
  }
}

function classJson({ pattern, except }: IdClass) {
  return { pattern: patternText(pattern), except: except.map(patternText) }
}

function rightJson({ subject, client, actor, ...rest }: TokenRight) {
  return {
    subject: patternText(subject),
    client: patternText(client),
    actor: actor === undefined ? null : patternText(actor),
    ...rest,
  }
}

function* identityRows(changes: IdentityRuleChanges): Generator<string> {
  for (const name of changes.added) yield `+ identity rule ${name}`
  for (const name of changes.removed) yield `- identity rule ${name}`
  for (const name of changes.changed) yield `~ identity rule ${name}`
  for (const name of changes.clusters) yield `~ bounds of cluster ${name}`
  if (changes.reordered) yield "~ order of identity rules"
}

function identityLines(changes: IdentityRuleChanges): readonly string[] {
  return [...identityRows(changes)]
}

function questionRows(question: TokenQuestion): readonly (readonly [string, string])[] {
  return [
    ["client", question.client],
    ["subject", question.subject],
    ...(question.actors.length === 0 ? [] : [["actors", question.actors.join(" for ")] as const]),
    ["mode", question.mode],
    ["audience", question.audiences.join(" ")],
    ["scopes", question.scopes === undefined ? "none named" : question.scopes.join(" ")],
    ["grant", question.grant],
    ["product", question.product],
    ["binding", question.binding],
    ...(question.ttl === undefined ? [] : [["ttl", `${question.ttl}s`] as const]),
  ]
}

function ruleRows(rules: readonly ExplainedTokenRule[]): readonly (readonly string[])[] {
  const several = new Set(rules.map(({ audience }) => audience)).size > 1
  return rules.map(({ audience, side, rule, verdict, detail }) => [
    ...(several ? [audience] : []),
    side,
    rule,
    verdict,
    detail,
  ])
}

/** Grants and bindings, where not every one is meant. */
function limitsText(kinds: Pick<GrantChange, "grants" | "bindings">): string {
  const grants = kinds.grants.length === TOKEN_GRANTS.length ? "" : `  grant ${kinds.grants.join(",")}`
  const bindings = kinds.bindings.length === TOKEN_BINDINGS.length ? "" : `  binding ${kinds.bindings.join(",")}`
  return `${grants}${bindings}`
}

function limitsOf({ grants, bindings }: TokenRight): string {
  const limits = limitsText({ grants, bindings: bindings.includes("none") ? TOKEN_BINDINGS : bindings })
  return limits.trim() === "" ? "-" : limits.trim().replaceAll("  ", " ")
}

/** The first few in full; all are in the JSON form. */
function classesText(classes: readonly IdClass[]): string {
  const shown = classes.slice(0, MAX_SHOWN).map(({ pattern, except }) => {
    const without = except.length === 0 ? "" : ` without ${some(except.map(patternText))}`
    return `${patternText(pattern)}${without}`
  })
  return some([...shown, ...classes.slice(MAX_SHOWN).map(() => "")])
}

function some(texts: readonly string[]): string {
  const shown = texts.slice(0, MAX_SHOWN).join(", ")
  return texts.length > MAX_SHOWN ? `${shown} and ${texts.length - MAX_SHOWN} more` : shown
}

function scopeText(scopes: readonly string[]): string {
  return scopes.length === 0 ? "no scopes" : scopes.join(" ")
}

function section(title: string, rows: readonly (readonly string[])[]): string {
  return lines([title, ...indented(rows)])
}

function indented(rows: readonly (readonly string[])[]): readonly string[] {
  return columns(rows).map((line) => `  ${line}`.trimEnd())
}

function lines(all: readonly string[]): string {
  return `${all.join("\n")}\n`
}

function json(value: object): string {
  return `${JSON.stringify(value)}\n`
}

const MAX_SHOWN = 5
const SIGNS = { added: "+", removed: "-", changed: "~" } as const
const WHO_CAN_HEAD = ["SUBJECT", "CLIENT", "ACTOR", "PRODUCT", "SCOPES", "TTL", "ONLY", "EXPORT > ACCEPT", "WHEN"]
