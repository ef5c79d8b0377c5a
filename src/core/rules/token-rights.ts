import type { TokenProduct } from "../policy/token-question.ts"
import { type SpiffeId, type TrustDomain, trustDomainId } from "../spiffe/id.ts"
import { type IdPattern, intersectPatterns, isWithinPattern, patternText } from "./id-pattern.ts"
import { IdTable } from "./id-table.ts"
import type { CompiledRule, RuleTable } from "./rule-table.ts"
import type { AcceptRuleSpec, TokenMode } from "./token-rule.ts"
import { ANY_AUDIENCE } from "./token-rule-index.ts"
import type { CompiledAccept, CompiledExport, IdSet } from "./token-rule-table.ts"

/** What one export and one accept give together: for whom, asked for by whom, and what. */
export interface TokenRight
  extends Pick<
    AcceptRuleSpec,
    "grants" | "bindings" | "scopes" | "defaultScopes" | "ttl" | "algorithm" | "mayOutliveSubject"
  > {
  readonly exports: string
  readonly accepts: string
  readonly mode: TokenMode
  readonly subject: IdPattern
  /** The subject itself in mode `self`. */
  readonly client: IdPattern
  /** The newest one; `undefined` unless the mode is `delegation`. */
  readonly actor: IdPattern | undefined
  readonly products: readonly TokenProduct[]
  /** Conditions that must hold, too; at most two. */
  readonly when: readonly string[]
}

/**
 * Who can have a token for an audience, and what is in it: exactly what `decideToken` grants, but for Assay's own identities. Of the
 * rights that cover a question the first decides; those that never do are left out. @see TPO-11
 */
export function rightsTo(audience: string, { tokens, trustDomain }: RuleTable): readonly TokenRight[] {
  const accepts = tokens.accepts.filter(({ spec }) => spec.audiences.includes(audience))
  const exports = tokens.exports.filter(({ spec }) => isFor(audience, spec.audiences))
  const kept = new IdTable<TokenRight>()
  const rights: TokenRight[] = []
  for (const source of exports) {
    for (const target of accepts) {
      for (const right of rightsOf(source, target, trustDomain)) {
        if (isShadowed(right, kept)) continue
        rights.push(right)
        kept.add(right.subject, right)
      }
    }
  }
  return rights
}

/** The identity rules by which workloads get JWT-SVIDs for an audience without the token endpoint. @see TPO-11 */
export function svidRulesTo(audience: string, { rules }: RuleTable): readonly CompiledRule[] {
  return rules.filter(({ spec }) => spec.audiences?.includes(audience) !== false)
}

/** What one pair gives, as if there were no other. */
export function* rightsOf(
  source: CompiledExport,
  target: CompiledAccept,
  trustDomain: TrustDomain,
): Generator<TokenRight> {
  const modes = source.spec.modes.filter((mode) => target.spec.modes.includes(mode))
  if (modes.length === 0) return
  const subjects = [...common([source.subjects, target.subjects])]
  if (subjects.length === 0) return
  const clients = [...common([source.clients?.patterns, target.clients?.patterns])]
  const actors = [...common([source.actors?.patterns, target.actors?.patterns])]
  for (const mode of modes) {
    const parties =
      mode === "self"
        ? selves(subjects, source.clients, target.clients)
        : others(subjects, clients, mode === "delegation" ? actors : [undefined])
    for (const party of parties) {
      const products = target.spec.products.filter((product) => isPossible(product, mode, party.subject, trustDomain))
      if (products.length > 0) yield { ...contentOf(source, target), mode, products, ...party }
    }
  }
}

type TokenParties = Pick<TokenRight, "subject" | "client" | "actor">

function* selves(
  subjects: readonly IdPattern[],
  source: IdSet | undefined,
  target: IdSet | undefined,
): Generator<TokenParties> {
  for (const subject of common([subjects, source?.patterns, target?.patterns])) {
    yield { subject, client: subject, actor: undefined }
  }
}

function* others(
  subjects: readonly IdPattern[],
  clients: readonly IdPattern[],
  actors: readonly (IdPattern | undefined)[],
): Generator<TokenParties> {
  for (const subject of subjects) {
    for (const client of clients) for (const actor of actors) yield { subject, client, actor }
  }
}

/** The IDs that are in every list; `undefined` is every ID, and not all lists are. No pattern within another one of the result. */
function common(lists: readonly (readonly IdPattern[] | undefined)[]): readonly IdPattern[] {
  const [first = [], ...rest] = lists.filter((list) => list !== undefined)
  const found = rest.reduce<readonly IdPattern[]>(
    (some, list) => some.flatMap((a) => list.flatMap((b) => intersectPatterns(a, b) ?? [])),
    first,
  )
  const unique = [...new Map(found.map((pattern) => [patternText(pattern), pattern])).values()]
  return unique.filter((inner) => !unique.some((outer) => outer !== inner && isWithinPattern(inner, outer)))
}

function contentOf({ spec: source }: CompiledExport, { spec: target }: CompiledAccept) {
  const { grants, bindings, scopes, defaultScopes, ttl, algorithm, mayOutliveSubject } = target
  const when = [...new Set([source.when, target.when].filter((text) => text !== undefined))]
  const names = { exports: source.name, accepts: target.name }
  return { ...names, grants, bindings, scopes, defaultScopes, ttl, algorithm, mayOutliveSubject, when }
}

/** @see TPO-06 */
function isPossible(product: TokenProduct, mode: TokenMode, subject: IdPattern, trustDomain: TrustDomain): boolean {
  if (product === "access-token") return true
  const own = `${trustDomainId(trustDomain)}/`
  return mode !== "delegation" && patternText(subject).startsWith(own)
}

/** True when an earlier right covers every question that this one covers. */
function isShadowed(right: TokenRight, earlier: IdTable<TokenRight>): boolean {
  return earlier.find(sampleOf(right.subject)).some((rights) => rights.some((other) => covers(other, right)))
}

function covers(outer: TokenRight, inner: TokenRight): boolean {
  if (outer.mode !== inner.mode || !isWithinPattern(inner.subject, outer.subject)) return false
  if (outer.mode !== "self" && !isWithinPattern(inner.client, outer.client)) return false
  if (outer.actor !== undefined && inner.actor !== undefined && !isWithinPattern(inner.actor, outer.actor)) return false
  if (!isSubset(outer.when, inner.when)) return false
  const isBound = outer.bindings.includes("none") || isSubset(boundTo(inner), boundTo(outer))
  const has = (["products", "grants", "scopes"] as const).every((key) => isSubset<string>(inner[key], outer[key]))
  return isBound && has
}

function boundTo({ bindings }: TokenRight): readonly string[] {
  return bindings.includes("none") ? ["none", "dpop", "mtls"] : bindings
}

function isSubset<T>(inner: readonly T[], outer: readonly T[]): boolean {
  return inner.every((item) => outer.includes(item))
}

function isFor(audience: string, audiences: readonly string[]): boolean {
  return audiences.includes(audience) || audiences.includes(ANY_AUDIENCE)
}

/** An ID of the pattern, or one that stands for all of them. */
function sampleOf(pattern: IdPattern): SpiffeId {
  return pattern.kind === "exact" ? pattern.id : (`${pattern.prefix}/*` as SpiffeId)
}
