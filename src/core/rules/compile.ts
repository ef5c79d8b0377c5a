import { toIdentityError } from "../errors.ts"
import { isReserved, parseWorkloadId } from "../spiffe/id.ts"
import { isDnsName } from "../x509/dns-name.ts"
import { compileTokenRules } from "./compile-token-rules.ts"
import type { CompileCondition, Condition } from "./condition.ts"
import { joinedNames } from "./joined-names.ts"
import { longIds } from "./long-ids.ts"
import { overlappingClusters } from "./overlap.ts"
import { tableRevision } from "./revision.ts"
import type { RuleProblem, RuleSpec, RuleTableSpec } from "./rule.ts"
import { bucketsOf, buildRuleIndex } from "./rule-index.ts"
import type { CompiledRule, RuleTable } from "./rule-table.ts"
import { parseTemplate, type Template } from "./template.ts"
import { tokenWarnings } from "./token-warnings.ts"

export type CompiledRules =
  | { readonly kind: "compiled"; readonly table: RuleTable; readonly warnings: readonly RuleProblem[] }
  | { readonly kind: "refused"; readonly problems: readonly RuleProblem[] }

/** Check a table as a whole: it is compiled with every rule in it, or refused with everything that is wrong. @see RUL-03 */
export function compileRules(spec: RuleTableSpec, compile: CompileCondition): CompiledRules {
  const problems: RuleProblem[] = []
  const rules = spec.rules
    .slice(0, MAX_RULES)
    .map((rule, ordinal) => compileRule(rule, ordinal, spec, compile, problems))
  problems.push(...namesUsedTwice(spec.rules), ...tableBounds(spec))
  const tokens = compileTokenRules(spec.tokens, spec.trustDomain, compile, problems)
  if (problems.length > 0) return { kind: "refused", problems }
  const index = buildRuleIndex(rules)
  if (index.largestBucket > MAX_BUCKET) problems.push({ path: ["rules"], message: BUCKET_MESSAGE })
  problems.push(...overlappingClusters(rules, spec.clusters))
  if (problems.length > 0) return { kind: "refused", problems }
  const clusters = new Map(spec.clusters.map((cluster) => [cluster.name, cluster]))
  const { trustDomain } = spec
  const table: RuleTable = { revision: tableRevision(spec), trustDomain, rules, clusters, index, tokens }
  const warnings = [...longIds(rules, spec), ...joinedNames(rules), ...tokenWarnings(tokens, trustDomain)]
  return { kind: "compiled", table, warnings }
}

function compileRule(
  spec: RuleSpec,
  ordinal: number,
  { trustDomain }: RuleTableSpec,
  compile: CompileCondition,
  problems: RuleProblem[],
): CompiledRule {
  const attempt = <T>(field: string, make: () => T): T | undefined => {
    try {
      return make()
    } catch (thrown) {
      problems.push({
        path: ["rules", ordinal, ...field.split(".").map(part)],
        message: toIdentityError(thrown).message,
      })
      return undefined
    }
  }
  const refuse = (field: string, message: string): void => {
    problems.push({ path: ["rules", ordinal, ...field.split(".").map(part)], message })
  }
  const { when } = spec
  const condition: Condition | undefined =
    when === undefined ? undefined : attempt("when", () => compile(when, "caller"))
  const id = attempt("spiffe_id", () => parseTemplate(absolute(spec.spiffeId, trustDomain))) ?? NOTHING
  if (id !== NOTHING) checkId(id, trustDomain, (message) => refuse("spiffe_id", message))
  const dnsNames = spec.dnsNames.map((name, i) => {
    const template = attempt(`dns_names.${i}`, () => parseTemplate(name)) ?? NOTHING
    if (template !== NOTHING && !isDnsName(sample(template))) refuse(`dns_names.${i}`, "cannot give a DNS name")
    return template
  })
  if (Buffer.byteLength(spec.hint) > MAX_HINT) refuse("hint", "must be at most 1024 bytes long")
  if (bucketsOf({ spec }) > MAX_COMBINATIONS) refuse("name", COMBINATIONS_MESSAGE)
  return { ordinal, spec, id, dnsNames, condition }
}

/** Every ID that the template can give has the shape of the sample, since values are single segments. */
function checkId(id: Template, trustDomain: string, refuse: (message: string) => void): void {
  if (!id.source.startsWith(`spiffe://${trustDomain}/`)) {
    refuse(`must be a path, or an ID of the trust domain ${trustDomain}`)
    return
  }
  try {
    if (isReserved(parseWorkloadId(sample(id)))) refuse("is under /assay, which is reserved for Assay's own identities")
  } catch (thrown) {
    refuse(`cannot give a SPIFFE ID: ${toIdentityError(thrown).message}`)
  }
}

function sample({ parts }: Template): string {
  return parts.map((part) => (part.kind === "literal" ? part.text : "x")).join("")
}

function absolute(template: string, trustDomain: string): string {
  return template.startsWith("/") ? `spiffe://${trustDomain}${template}` : template
}

function* namesUsedTwice(rules: readonly RuleSpec[]): Generator<RuleProblem> {
  const seen = new Set<string>()
  for (const [i, { name }] of rules.entries()) {
    if (seen.has(name)) yield { path: ["rules", i, "name"], message: `there is a rule "${name}" already` }
    seen.add(name)
  }
}

function* tableBounds(spec: RuleTableSpec): Generator<RuleProblem> {
  if (spec.rules.length > MAX_RULES) yield { path: ["rules"], message: `must be at most ${MAX_RULES} rules` }
  const combinations = spec.rules.reduce((sum, rule) => sum + bucketsOf({ spec: rule }), 0)
  if (combinations > MAX_TABLE_COMBINATIONS) {
    yield { path: ["rules"], message: `list more than ${MAX_TABLE_COMBINATIONS} combinations of exact values in all` }
  }
}

function part(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text
}

const MAX_RULES = 10_000
/** What one caller's look-up can cost is eight times this. */
const MAX_BUCKET = 256
const MAX_COMBINATIONS = 4096
const MAX_TABLE_COMBINATIONS = 262_144
const MAX_HINT = 1024
const NOTHING: Template = { source: "", parts: [] }
const BUCKET_MESSAGE = `more than ${MAX_BUCKET} rules have the same cluster, namespace and service_account (or none of them): set these keys instead of comparing in "when"`
const COMBINATIONS_MESSAGE = `lists more than ${MAX_COMBINATIONS} combinations of cluster, namespace and service_account`
