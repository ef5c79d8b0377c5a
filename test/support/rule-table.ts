import { makeCelConditions } from "../../src/adapters/cel/cel-conditions.ts"
import { type CompiledRules, compileRules } from "../../src/core/rules/compile.ts"
import type { ClusterBounds, RuleSpec } from "../../src/core/rules/rule.ts"
import type { RuleTable } from "../../src/core/rules/rule-table.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"

/** A rule; what a test does not name is filled in. */
export function rule(spec: Partial<RuleSpec> & Pick<RuleSpec, "name" | "spiffeId">): RuleSpec {
  return {
    clusters: undefined,
    namespaces: undefined,
    serviceAccounts: undefined,
    when: undefined,
    x509Ttl: 3600,
    jwtTtl: 300,
    dnsNames: [],
    audiences: undefined,
    federatesWith: [],
    hint: "",
    ...spec,
  }
}

export function cluster(name: string, bounds: Partial<ClusterBounds> = {}): ClusterBounds {
  return { name, namespaces: undefined, pathPrefix: undefined, shared: false, ...bounds }
}

export function compiled(
  rules: readonly RuleSpec[],
  clusters: readonly ClusterBounds[] = [cluster("main")],
): CompiledRules {
  const { compile } = makeCelConditions()
  return compileRules(
    { trustDomain: parseTrustDomain("prod.example"), clusters, rules, tokens: NO_TOKEN_RULES },
    compile,
  )
}

/** @throws Error with the problems, as the test expected none */
export function table(rules: readonly RuleSpec[], clusters?: readonly ClusterBounds[]): RuleTable {
  const result = compiled(rules, clusters)
  if (result.kind === "compiled") return result.table
  throw new Error(result.problems.map(({ path, message }) => `${path.join(".")}: ${message}`).join("\n"))
}

/** `rules.0.when: message` for each problem; empty when the table compiles. */
export function problems(rules: readonly RuleSpec[], clusters?: readonly ClusterBounds[]): readonly string[] {
  const result = compiled(rules, clusters)
  if (result.kind === "compiled") return []
  return result.problems.map(({ path, message }) => `${path.join(".")}: ${message}`)
}

const NO_TOKEN_RULES = { exports: [], accepts: [] }
