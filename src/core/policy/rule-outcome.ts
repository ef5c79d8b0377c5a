import type { ConditionSubject } from "../rules/condition.ts"
import type { ClusterBounds } from "../rules/rule.ts"
import type { CompiledRule } from "../rules/rule-table.ts"
import { renderTemplate, type TemplateValues } from "../rules/template.ts"
import { isReserved, parseWorkloadId, pathOf, type SpiffeId } from "../spiffe/id.ts"
import { isDnsName } from "../x509/dns-name.ts"
import type { AttestedClaims } from "./attested.ts"
import type { DecisionReason } from "./decision-reason.ts"

/** What one rule says about one caller, regardless of the other rules. */
export type RuleOutcome =
  | { readonly kind: "matched"; readonly id: SpiffeId; readonly dnsNames: readonly string[] }
  /** `condition` names the first one that failed. */
  | { readonly kind: "not-matched"; readonly condition: RuleCondition; readonly detail: string }
  /** All conditions hold, but what the templates give must not be issued. */
  | { readonly kind: "refused"; readonly reason: DecisionReason; readonly detail: string }

/** In the order in which they are tried. */
export type RuleCondition = "cluster" | "namespace" | "service_account" | "when"

/** @param bounds those of the caller's cluster @see RUL-05..RUL-08 */
export function evaluateRule(rule: CompiledRule, bounds: ClusterBounds, claims: AttestedClaims): RuleOutcome {
  return exactMismatch(rule, claims) ?? conditionMismatch(rule, claims) ?? identityOf(rule, bounds, claims)
}

function exactMismatch({ spec }: CompiledRule, claims: AttestedClaims): RuleOutcome | undefined {
  return (
    fieldMismatch("cluster", spec.clusters, claims.cluster) ??
    fieldMismatch("namespace", spec.namespaces, claims.namespace) ??
    fieldMismatch("service_account", spec.serviceAccounts, claims.serviceAccount)
  )
}

function fieldMismatch(
  condition: RuleCondition,
  accepted: readonly string[] | undefined,
  value: string,
): RuleOutcome | undefined {
  if (accepted === undefined || accepted.includes(value)) return undefined
  return { kind: "not-matched", condition, detail: `${condition} is "${value}", not ${oneOf(accepted)}` }
}

function conditionMismatch({ spec, condition }: CompiledRule, claims: AttestedClaims): RuleOutcome | undefined {
  const result = condition?.({ subject: subjectOf(claims) })
  if (result === undefined || result.kind === "matched") return undefined
  const because = result.kind === "error" ? `could not be decided: ${result.reason}` : "is false"
  return { kind: "not-matched", condition: "when", detail: `${spec.when} ${because}` }
}

function identityOf(rule: CompiledRule, bounds: ClusterBounds, claims: AttestedClaims): RuleOutcome {
  const values = templateValues(claims)
  const rendered = renderTemplate(rule.id, values)
  if (rendered.kind === "refused") {
    const detail = `{{${rendered.variable}}} has no value that can stand in a SPIFFE ID`
    return { kind: "refused", reason: "template-value-refused", detail }
  }
  const id = parsedId(rendered.text)
  if (id === undefined) return { kind: "refused", reason: "invalid-identity", detail: "the ID would not be valid" }
  if (isReserved(id)) return { kind: "refused", reason: "reserved-identity", detail: `${id} is reserved` }
  if (!isWithin(pathOf(id), bounds.pathPrefix)) {
    const detail = `${id} is not under ${bounds.pathPrefix}, where cluster "${bounds.name}" is bounded to`
    return { kind: "refused", reason: "outside-cluster-bounds", detail }
  }
  const dnsNames: string[] = []
  for (const template of rule.dnsNames) {
    const name = renderTemplate(template, values)
    if (name.kind === "refused" || !isDnsName(name.text)) {
      return { kind: "refused", reason: "invalid-dns-name", detail: `${template.source} gives no DNS name` }
    }
    if (!dnsNames.includes(name.text)) dnsNames.push(name.text)
  }
  return { kind: "matched", id, dnsNames }
}

function parsedId(text: string): SpiffeId | undefined {
  try {
    return parseWorkloadId(text)
  } catch {
    return undefined
  }
}

function isWithin(path: string, prefix: string | undefined): boolean {
  return prefix === undefined || path === prefix || path.startsWith(`${prefix}/`)
}

function subjectOf(claims: AttestedClaims): ConditionSubject {
  return {
    cluster: claims.cluster,
    namespace: claims.namespace,
    service_account: claims.serviceAccount,
    degraded: claims.degraded,
    ...(claims.pod === undefined ? {} : { pod: claims.pod }),
    ...(claims.node === undefined ? {} : { node: claims.node }),
  }
}

function templateValues(claims: AttestedClaims): TemplateValues {
  return {
    cluster: claims.cluster,
    namespace: claims.namespace,
    service_account: claims.serviceAccount,
    pod: claims.pod?.name,
    pod_uid: claims.pod?.uid,
    node: claims.node?.name,
    node_uid: claims.node?.uid,
  }
}

function oneOf(values: readonly string[]): string {
  const shown = values.slice(0, 3).map((value) => `"${value}"`)
  return values.length > 3 ? `${shown.join(", ")} or ${values.length - 3} more` : shown.join(" or ")
}
