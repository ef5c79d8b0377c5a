import fc from "fast-check"
import type { TokenBinding, TokenGrantType, TokenProduct } from "../../src/core/policy/token-question.ts"
import type { AcceptRuleSpec, ExportRuleSpec, TokenRulesSpec } from "../../src/core/rules/token-rule.ts"
import type { SpiffeId } from "../../src/core/spiffe/id.ts"
import { AUDIENCES, IDS, SCOPES, tokenRules } from "./token-arbitraries.ts"

export const TRUST_DOMAIN_ID = "spiffe://prod.example"

/** What somebody sends to `/token`: the one description from which the request is made and by which its answer is judged. */
export interface DescribedRequest {
  readonly grant: TokenGrantType
  readonly product: TokenProduct
  /** Who authenticates, by a JWT-SVID; `undefined`: nobody does. */
  readonly client: SpiffeId | undefined
  readonly subject: DescribedToken
  /** Of an exchange. */
  readonly actor: DescribedToken | undefined
  readonly audiences: readonly string[]
  readonly scopes: readonly string[] | undefined
  readonly binding: Exclude<TokenBinding, "mtls">
}

/** A token that is signed well; whether it may be used like this is another matter. */
export interface DescribedToken {
  readonly kind: "svid" | "access-token"
  readonly id: SpiffeId
  /** The server, whoever authenticates, both, or somebody else. */
  readonly audience: "server" | "client" | "both" | "other"
  /** Seconds that it has left. */
  readonly left: number
  /** Of an SVID. */
  readonly mayAct: SpiffeId | undefined
  /** The others are of an access token. */
  readonly scopes: readonly string[]
  readonly actors: readonly SpiffeId[]
  /** `own`: to the key of the request's proof; `other`: to another. */
  readonly bound: "no" | "own" | "other"
}

const token: fc.Arbitrary<DescribedToken> = fc.record({
  kind: fc.constantFrom("svid", "access-token"),
  id: fc.constantFrom(...IDS),
  audience: mostly<DescribedToken["audience"]>("server", ["client", "both", "other"]),
  left: fc.constantFrom(20, 100, 1000),
  mayAct: mostly<SpiffeId | undefined>(undefined, IDS),
  scopes: fc.subarray([...SCOPES, "other"]),
  actors: mostly<readonly SpiffeId[]>(
    [],
    [IDS.slice(0, 1), IDS.slice(1, 3), IDS.slice(0, 4), IDS.slice(0, 5), IDS.slice(0, 6)],
  ),
  bound: mostly<DescribedToken["bound"]>("no", ["own", "other"]),
})

export const describedRequest: fc.Arbitrary<DescribedRequest> = fc
  .record({
    grant: fc.constantFrom<TokenGrantType>("client_credentials", "token-exchange", "token-exchange", "jwt-bearer"),
    product: mostly<TokenProduct>("access-token", ["jwt-svid", "x509-svid"]),
    client: fc.option(fc.constantFrom(...IDS), { nil: undefined, freq: 3 }),
    subject: token,
    actor: fc.option(token, { nil: undefined, freq: 2 }),
    sameClient: fc.boolean(),
    audiences: mostly<readonly string[]>(["x"], [[TRUST_DOMAIN_ID], ["x", TRUST_DOMAIN_ID], ["z"]]),
    scopes: mostly<readonly string[] | undefined>(undefined, [["r"], ["r", "w"], ["s"], ["other"]]),
    binding: mostly<DescribedRequest["binding"]>("none", ["dpop"]),
  })
  .map(({ sameClient, ...asked }) => ({
    ...asked,
    client: sameClient && asked.client !== undefined ? asked.subject.id : asked.client,
    audiences: asked.product === "x509-svid" ? [TRUST_DOMAIN_ID] : asked.audiences,
  }))

/**
 * Rules with conditions of CEL, one of whose audiences is the trust domain, for which certificates are. Half of them end with a
 * pair that gives much to many, so that not everything is refused.
 */
export const writtenRules: fc.Arbitrary<TokenRulesSpec> = fc
  .tuple(tokenRules, fc.boolean())
  .map(([{ exports, accepts }, isWide]) => ({
    exports: [...exports.map(written), ...(isWide ? [WIDE_EXPORT] : [])],
    accepts: [...accepts.map(written), ...(isWide ? [WIDE_ACCEPT] : [])],
  }))

/** The same as the file of an operator has them. */
export function ruleDocument({ exports, accepts }: TokenRulesSpec): object {
  const common = (rule: TokenRulesSpec["exports"][number] | TokenRulesSpec["accepts"][number]) => ({
    name: rule.name,
    subject: rule.subjects,
    audience: rule.audiences,
    mode: rule.modes,
    client: rule.clients,
    actor: rule.actors,
    when: rule.when,
  })
  return {
    exports: exports.map(common),
    accepts: accepts.map((rule) => ({
      ...common(rule),
      scopes: rule.scopes,
      default_scopes: rule.defaultScopes,
      ttl: `${rule.ttl}s`,
      algorithm: rule.algorithm,
      product: rule.products,
      grant: rule.grants,
      binding: rule.bindings,
      may_outlive_subject: rule.mayOutliveSubject,
    })),
  }
}

/** The conditions that hold for a question with these scopes about this subject, by the meaning of their words. */
export function holdingFor(scopes: readonly string[] | undefined, subject: string): ReadonlySet<string> {
  const inPath = subject.split("/").slice(3).join("/").startsWith("a")
  return new Set([...(scopes === undefined ? [] : [CONDITION.c1]), ...(inPath ? [CONDITION.c2] : [])])
}

function mostly<T>(usual: T, others: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) })
}

function written<Rule extends { readonly audiences: readonly string[]; readonly when: string | undefined }>(
  rule: Rule,
) {
  return { ...rule, audiences: rule.audiences.map(renamed), when: conditionOf(rule.when) }
}

function renamed(audience: string): string {
  return audience === AUDIENCES[1] ? TRUST_DOMAIN_ID : audience
}

function conditionOf(name: string | undefined): string | undefined {
  return name === "c1" || name === "c2" ? CONDITION[name] : undefined
}

const CONDITION = { c1: "has(request.scopes)", c2: 'subject.path.startsWith("/a")' } as const
const EVERYBODY = ["*", "spiffe://other.example/*"]
const WIDE = {
  name: "wide",
  subjects: EVERYBODY,
  clients: EVERYBODY,
  actors: EVERYBODY,
  modes: ["self", "impersonation", "delegation"],
  when: undefined,
} as const
const WIDE_EXPORT: ExportRuleSpec = { ...WIDE, audiences: ["*"] }
const WIDE_ACCEPT: AcceptRuleSpec = {
  ...WIDE,
  audiences: ["x", TRUST_DOMAIN_ID],
  products: ["access-token", "jwt-svid", "x509-svid"],
  grants: ["client_credentials", "token-exchange", "jwt-bearer"],
  bindings: ["none"],
  scopes: SCOPES,
  defaultScopes: ["r", "w"],
  ttl: 300,
  algorithm: "ES256",
  mayOutliveSubject: false,
}
