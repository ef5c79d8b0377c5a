import { createHash } from "node:crypto"
import type { ClusterBounds, RuleSpec, RuleTableSpec } from "./rule.ts"

/** Content hash of a table: 16 hex digits of SHA-256 over its fields in a fixed order. @see RUL-12 */
export function tableRevision(spec: RuleTableSpec): string {
  const content = JSON.stringify([spec.trustDomain, spec.clusters.map(boundsContent), spec.rules.map(ruleContent)])
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
