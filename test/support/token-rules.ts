import { makeCelConditions } from "../../src/adapters/cel/cel-conditions.ts"
import type { TokenQuestion } from "../../src/core/policy/token-question.ts"
import { type CompiledRules, compileRules } from "../../src/core/rules/compile.ts"
import type { RuleTable } from "../../src/core/rules/rule-table.ts"
import type { AcceptRuleSpec, ExportRuleSpec, TokenRulesSpec } from "../../src/core/rules/token-rule.ts"
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe/id.ts"

/** An export of everything by everyone for itself; what a test does not name is filled in. */
export function exporting(spec: Partial<ExportRuleSpec> = {}): ExportRuleSpec {
  return {
    name: "export",
    subjects: ["*"],
    audiences: ["*"],
    modes: ["self"],
    clients: undefined,
    actors: undefined,
    when: undefined,
    ...spec,
  }
}

/** An accept by `ledger` of everyone, with the scope `read`. */
export function accepting(spec: Partial<AcceptRuleSpec> = {}): AcceptRuleSpec {
  return {
    name: "accept",
    audiences: ["ledger"],
    subjects: ["*"],
    clients: undefined,
    actors: undefined,
    modes: ["self"],
    products: ["access-token"],
    grants: ["client_credentials", "token-exchange", "jwt-bearer"],
    bindings: ["none"],
    scopes: ["read"],
    defaultScopes: spec.scopes ?? ["read"],
    ttl: 300,
    algorithm: "ES256",
    mayOutliveSubject: false,
    when: undefined,
    ...spec,
  }
}

export function compiledTokens(tokens: TokenRulesSpec): CompiledRules {
  const { compile } = makeCelConditions()
  return compileRules({ trustDomain: parseTrustDomain("prod.example"), clusters: [], rules: [], tokens }, compile)
}

/** @throws Error with the problems, as the test expected none */
export function tokenTable(exports: readonly ExportRuleSpec[], accepts: readonly AcceptRuleSpec[]): RuleTable {
  const result = compiledTokens({ exports, accepts })
  if (result.kind === "compiled") return result.table
  throw new Error(result.problems.map(({ path, message }) => `${path.join(".")}: ${message}`).join("\n"))
}

/** `token_rules.exports.0.when: message` for each problem; empty when the table compiles. */
export function tokenProblems(
  exports: readonly ExportRuleSpec[],
  accepts: readonly AcceptRuleSpec[],
): readonly string[] {
  const result = compiledTokens({ exports, accepts })
  if (result.kind === "compiled") return []
  return result.problems.map(({ path, message }) => `${path.join(".")}: ${message}`)
}

/** Texts of IDs; those that start with a slash are of `prod.example`. */
export interface Parties {
  readonly client?: string
  readonly subject?: string
  readonly actors?: readonly string[]
}

/** `web` of `prod.example` asks for a token for `ledger`; the mode follows from the parties unless it is given. */
export function question(parts: Partial<Omit<TokenQuestion, keyof Parties>> & Parties = {}): TokenQuestion {
  const { client = parts.subject ?? "/web", subject = client, actors = [], ...rest } = parts
  const party = (text: string) => parseSpiffeId(text.startsWith("/") ? `spiffe://prod.example${text}` : text)
  return {
    grant: "client_credentials",
    product: "access-token",
    client: party(client),
    subject: party(subject),
    actors: actors.map(party),
    mode: actors.length > 0 ? "delegation" : client === subject ? "self" : "impersonation",
    audiences: ["ledger"],
    scopes: undefined,
    subjectScopes: undefined,
    ttl: undefined,
    binding: "none",
    ...rest,
  }
}
