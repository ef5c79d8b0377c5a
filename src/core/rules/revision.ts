import { createHash } from "node:crypto"
import type { ClusterBounds, RuleSpec, RuleTableSpec } from "./rule.ts"
import type { AcceptRuleSpec, ExportRuleSpec } from "./token-rule.ts"

/** Content hash of a table: 16 hex digits of SHA-256 over its fields in a fixed order. @see RUL-12 */
export function tableRevision(spec: RuleTableSpec): string {
  const content = JSON.stringify([
    spec.trustDomain,
    spec.clusters.map(boundsContent),
    spec.rules.map(ruleContent),
    spec.tokens.exports.map(exportContent),
    spec.tokens.accepts.map(acceptContent),
  ])
  return createHash("sha256").update(content).digest("hex").slice(0, 16)
}

function boundsContent(bounds: ClusterBounds): readonly unknown[] {
  return [bounds.name, bounds.namespaces ?? null, bounds.pathPrefix ?? null, bounds.shared]
}

function ruleContent(rule: RuleSpec): readonly unknown[] {
  return [
    rule.name,
    rule.clusters ?? null,
    rule.namespaces ?? null,
    rule.serviceAccounts ?? null,
    rule.when ?? null,
    rule.spiffeId,
    rule.x509Ttl,
    rule.jwtTtl,
    rule.dnsNames,
    rule.audiences ?? null,
    rule.federatesWith,
    rule.hint,
  ]
}

function exportContent(rule: ExportRuleSpec): readonly unknown[] {
  return [
    rule.name,
    rule.subjects,
    rule.audiences,
    rule.modes,
    rule.clients ?? null,
    rule.actors ?? null,
    rule.when ?? null,
  ]
}

function acceptContent(rule: AcceptRuleSpec): readonly unknown[] {
  return [
    rule.name,
    rule.audiences,
    rule.subjects,
    rule.clients ?? null,
    rule.actors ?? null,
    rule.modes,
    rule.products,
    rule.grants,
    rule.bindings,
    rule.scopes,
    rule.defaultScopes,
    rule.ttl,
    rule.algorithm,
    rule.mayOutliveSubject,
    rule.when ?? null,
  ]
}
