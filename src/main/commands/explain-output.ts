import type { Explanation } from "../../app/rules/explain.ts"
import type { AttestedClaims } from "../../core/policy/attested.ts"
import { columns } from "./columns.ts"

/** One JSON object. Never holds the token. */
export function explanationJson(explanation: Explanation): string {
  if (explanation.kind === "not-attested") {
    const { code, reason, message } = explanation.error
    return `${JSON.stringify({ outcome: "not-attested", code, reason: reason ?? code, message })}\n`
  }
  const { decision, claims, rules } = explanation
  const outcome =
    decision.kind === "granted"
      ? { outcome: "granted", identities: decision.grants }
      : {
          outcome: "refused",
          code: decision.code,
          reason: decision.reason,
          message: decision.message,
          nearest: decision.nearest ?? null,
        }
  return `${JSON.stringify({ ...outcome, claims: Object.fromEntries(claimRows(claims)), rules })}\n`
}

export function explanationTable(explanation: Explanation): string {
  if (explanation.kind === "not-attested") {
    const { code, reason, message } = explanation.error
    return `NOT ATTESTED  ${reason ?? code}: ${message}\n`
  }
  const { decision, claims, rules } = explanation
  const outcome =
    decision.kind === "granted"
      ? decision.grants.map(
          ({ id, hint, x509Ttl, jwtTtl }) =>
            `GRANTED  ${id}  x509 ${x509Ttl}s  jwt ${jwtTtl}s${hint === "" ? "" : `  hint ${hint}`}`,
        )
      : [
          `REFUSED  ${decision.reason}: ${decision.message}`,
          ...(decision.nearest === undefined
            ? []
            : [`nearest rule: ${decision.nearest.rule}: ${decision.nearest.condition}`]),
        ]
  const sections = [
    ["attested claims", ...indented(claimRows(claims))],
    ["rules", ...indented(rules.map(({ rule, verdict, detail }) => [rule, verdict, detail]))],
    outcome,
  ]
  return `${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`
}

function claimRows(claims: AttestedClaims): readonly (readonly [string, string])[] {
  return [
    ["cluster", claims.cluster],
    ["namespace", claims.namespace],
    ["service_account", claims.serviceAccount],
    ["pod", claims.pod?.name ?? ""],
    ["pod_uid", claims.pod?.uid ?? ""],
    ["node", claims.node?.name ?? ""],
    ["node_uid", claims.node?.uid ?? ""],
    ["expires_at", new Date(claims.expiresAt * 1000).toISOString()],
    ["degraded", String(claims.degraded)],
  ]
}

function indented(rows: readonly (readonly string[])[]): readonly string[] {
  return columns(rows).map((line) => `  ${line}`.trimEnd())
}
