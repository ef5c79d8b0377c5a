import type { TrustDomain } from "../spiffe/id.ts"
import type { Seconds } from "../time.ts"
import type { TokenRulesSpec } from "./token-rule.ts"

/** One identity rule as its author wrote it, with defaults filled in. */
export interface RuleSpec {
  /** Unique in its table; at most 128 bytes. */
  readonly name: string
  /** Exact matches, which the table is indexed by. `undefined`: any. */
  readonly clusters: readonly string[] | undefined
  readonly namespaces: readonly string[] | undefined
  readonly serviceAccounts: readonly string[] | undefined
  /** Expression over the attested claims; `undefined`: always true. */
  readonly when: string | undefined
  /** Template of the path, or of the whole ID, e.g. `/ns/{{namespace}}/sa/{{service_account}}`. */
  readonly spiffeId: string
  readonly x509Ttl: Seconds
  readonly jwtTtl: Seconds
  /** Templates. */
  readonly dnsNames: readonly string[]
  /** Audiences a JWT-SVID may be made for; `undefined` for any. */
  readonly audiences: readonly string[] | undefined
  readonly federatesWith: readonly TrustDomain[]
  /** Empty for none. */
  readonly hint: string
}

/** What one cluster can at most be given, whatever the rules say. */
export interface ClusterBounds {
  readonly name: string
  /** `undefined`: any. */
  readonly namespaces: readonly string[] | undefined
  /** Each ID of the cluster is this path or below it; starts with a slash and does not end with one. `undefined`: any. */
  readonly pathPrefix: string | undefined
  /** The operator accepts that another cluster that says so too can mint the same IDs. @see RUL-09 */
  readonly shared: boolean
}

/** Everything a decision depends on, apart from the caller. */
export interface RuleTableSpec {
  readonly trustDomain: TrustDomain
  readonly clusters: readonly ClusterBounds[]
  /** The order is the order of the identities in a decision. */
  readonly rules: readonly RuleSpec[]
  readonly tokens: TokenRulesSpec
}

/** What is wrong with a table, and where in its spec. */
export interface RuleProblem {
  /** e.g. `["rules", 3, "when"]`; names of fields as in the configuration file. */
  readonly path: readonly (string | number)[]
  readonly message: string
}
