import type { z } from "zod"
import { compileRules } from "../../core/rules/compile.ts"
import type { CompileCondition } from "../../core/rules/condition.ts"
import type { RuleSpec, RuleTableSpec } from "../../core/rules/rule.ts"
import type { RuleTable } from "../../core/rules/rule-table.ts"
import type { AcceptRuleSpec, ExportRuleSpec } from "../../core/rules/token-rule.ts"
import { approvalWarnings } from "./approval-reach.ts"
import { type CamelKeys, camelKeys } from "./camel-keys.ts"
import { ConfigError, type ConfigProblem } from "./problem.ts"
import { readConfigFile } from "./read-config-file.ts"
import { readDocument } from "./read-document.ts"
import { checkServer } from "./server-checks.ts"
import { serverSchema } from "./server-schema.ts"

export type ServerDocument = z.output<typeof serverSchema>

/** Checked and frozen configuration of `assay server`, with its rules compiled. */
export type ServerConfig = Omit<CamelKeys<ServerDocument>, "rules" | "tokenRules"> & {
  /** `rules` and `token_rules`. */
  readonly rules: RuleTable
  /** What is allowed but likely to surprise; for the log and `assay validate`. */
  readonly warnings: readonly ConfigProblem[]
}
export type ClusterConfig = ServerConfig["clusters"][number]

/** @param file names the text in problems @throws ConfigError with everything that is wrong @see CFG-01 CFG-05 */
export function parseServerConfig(text: string, file: string, compile: CompileCondition): ServerConfig {
  const { value, source } = readDocument(serverSchema, text, file)
  const compiled = compileRules(ruleTableSpec(value), compile)
  const problems = [...checkServer(value), ...(compiled.kind === "refused" ? compiled.problems : [])]
  const located = problems.map(({ path, message }) => source.problem(path, message))
  if (compiled.kind === "refused" || located.length > 0) throw new ConfigError(located)
  const { rules: _, token_rules: __, ...rest } = value
  const config = camelKeys(rest)
  const surprising = [...compiled.warnings, ...approvalWarnings(config)]
  const warnings = surprising.map(({ path, message }) => source.problem(path, message))
  return Object.freeze({ ...config, rules: compiled.table, warnings: Object.freeze(warnings) })
}

/** @throws ConfigError; IdentityError `not-ready` when the file cannot be read */
export async function loadServerConfig(file: string, compile: CompileCondition): Promise<ServerConfig> {
  return parseServerConfig(await readConfigFile(file), file, compile)
}

function ruleTableSpec(document: ServerDocument): RuleTableSpec {
  return {
    trustDomain: document.trust_domain,
    clusters: document.clusters.map(({ name, bounds }) => ({
      name,
      namespaces: bounds.namespaces,
      pathPrefix: bounds.path_prefix,
      shared: bounds.shared,
    })),
    rules:
      document.rules.length === 0 ? [defaultRule(document)] : document.rules.map((rule) => ruleSpec(rule, document)),
    tokens: {
      exports: document.token_rules.exports.map(exportSpec),
      accepts: document.token_rules.accepts.map((rule) => acceptSpec(rule, document)),
    },
  }
}

function ruleSpec(rule: ServerDocument["rules"][number], document: ServerDocument): RuleSpec {
  return {
    name: rule.name,
    clusters: rule.cluster,
    namespaces: rule.namespace,
    serviceAccounts: rule.service_account,
    when: rule.when,
    spiffeId: rule.spiffe_id,
    x509Ttl: rule.x509_ttl ?? document.x509.ttl,
    jwtTtl: rule.jwt_ttl ?? document.jwt.ttl,
    dnsNames: rule.dns_names,
    audiences: rule.audiences,
    federatesWith: rule.federates_with,
    hint: rule.hint ?? "",
  }
}

function exportSpec(rule: ServerDocument["token_rules"]["exports"][number]): ExportRuleSpec {
  return {
    name: rule.name,
    subjects: rule.subject,
    audiences: rule.audience,
    modes: rule.mode,
    clients: rule.client,
    actors: rule.actor,
    when: rule.when,
  }
}

function acceptSpec(rule: ServerDocument["token_rules"]["accepts"][number], document: ServerDocument): AcceptRuleSpec {
  return {
    name: rule.name,
    audiences: rule.audience,
    subjects: rule.subject,
    clients: rule.client,
    actors: rule.actor,
    modes: rule.mode,
    products: rule.product,
    grants: rule.grant,
    bindings: rule.binding,
    scopes: rule.scopes,
    defaultScopes: rule.default_scopes ?? rule.scopes,
    ttl: rule.ttl ?? document.jwt.ttl,
    algorithm: rule.algorithm,
    mayOutliveSubject: rule.may_outlive_subject,
    when: rule.when,
  }
}

/** What every caller gets when no rule is written: the form that Istio demands. @see RUL-02 */
function defaultRule(document: ServerDocument): RuleSpec {
  return {
    name: "default",
    clusters: undefined,
    namespaces: undefined,
    serviceAccounts: undefined,
    when: undefined,
    spiffeId: "/ns/{{namespace}}/sa/{{service_account}}",
    x509Ttl: document.x509.ttl,
    jwtTtl: document.jwt.ttl,
    dnsNames: [],
    audiences: undefined,
    federatesWith: document.federation.map(({ trust_domain }) => trust_domain),
    hint: "",
  }
}
