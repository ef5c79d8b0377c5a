import type { SpiffeId, TrustDomain } from "../spiffe/id.ts"
import { trustDomainOf } from "../spiffe/id.ts"
import type { IdPattern } from "./id-pattern.ts"
import { IdTable } from "./id-table.ts"
import { groupClasses, type IdClass } from "./pattern-tree.ts"
import type { RuleTable } from "./rule-table.ts"
import { accessBy, isSameAccess, type TokenAccess } from "./token-access.ts"
import { joinKinds, type QuestionKinds, TOKEN_KINDS, TOKEN_MODES } from "./token-kinds.ts"
import type { TokenMode } from "./token-rule.ts"
import { ANY_AUDIENCE } from "./token-rule-index.ts"
import type { CompiledAccept, CompiledExport } from "./token-rule-table.ts"

/** Questions that get something else by one table than by the other. */
export interface GrantChange extends QuestionKinds {
  readonly audience: string
  readonly mode: TokenMode
  readonly subjects: readonly IdClass[]
  /** The subject itself in mode `self`, where it is `undefined`. */
  readonly clients: readonly IdClass[] | undefined
  /** The newest one; `undefined` unless the mode is `delegation`. */
  readonly actors: readonly IdClass[] | undefined
  readonly before: TokenAccess
  readonly after: TokenAccess
}

/**
 * What two tables grant differently, by set algebra over the patterns: names, order and ways to write the same count for nothing.
 * A question for one audience is decided differently if and only if it is in a change, as far as conditions are independent; for
 * several audiences nothing else can change. Assay's own identities, which get nothing, are not cut out of the patterns.
 * @see TPO-12
 */
export function* diffTokenRules(before: RuleTable, after: RuleTable): Generator<GrantChange> {
  const sides = [sideOf(before), sideOf(after)] as const
  for (const audience of new Set([...sides[0].audiences, ...sides[1].audiences])) {
    const [old, next] = [sides[0].rulesFor(audience), sides[1].rulesFor(audience)]
    if (areSame(old, next)) continue
    for (const mode of TOKEN_MODES) {
      for (const change of changesIn(mode, old, next)) yield { audience, mode, ...change }
    }
  }
}

/** The rules of one table that are about one audience. */
interface AudienceRules {
  readonly trustDomain: TrustDomain
  readonly exports: readonly CompiledExport[]
  readonly accepts: readonly CompiledAccept[]
  /** Equal for rules that decide alike about one audience. */
  textOf(rule: AnyRule): string
}

type AnyRule = CompiledExport | CompiledAccept

interface Side {
  readonly audiences: Iterable<string>
  rulesFor(audience: string): AudienceRules
}

function sideOf({ tokens, trustDomain }: RuleTable): Side {
  const exports = Map.groupBy(
    tokens.exports.flatMap((rule) => rule.spec.audiences.map((audience) => ({ audience, rule }))),
    ({ audience }) => audience,
  )
  const accepts = Map.groupBy(
    tokens.accepts.flatMap((rule) => rule.spec.audiences.map((audience) => ({ audience, rule }))),
    ({ audience }) => audience,
  )
  const exportsTo = (audience: string) => exports.get(audience)?.map(({ rule }) => rule) ?? []
  const texts = new Map<AnyRule, string>()
  for (const rule of [...tokens.exports, ...tokens.accepts]) texts.set(rule, contentOf(rule))
  return {
    audiences: accepts.keys(),
    rulesFor: (audience) => ({
      trustDomain,
      exports: [...exportsTo(audience), ...exportsTo(ANY_AUDIENCE)],
      accepts: accepts.get(audience)?.map(({ rule }) => rule) ?? [],
      textOf: (rule) => texts.get(rule) ?? "",
    }),
  }
}

/** Names and audiences are left out: they do not change what is decided about one audience. */
function contentOf({ spec }: AnyRule): string {
  return JSON.stringify({ ...spec, name: "", audiences: [] })
}

/** True for rules that cannot but decide alike; the other way round says nothing. */
function areSame(a: AudienceRules, b: AudienceRules): boolean {
  const isSameList = (rules: readonly AnyRule[], others: readonly AnyRule[]) =>
    rules.length === others.length &&
    rules.every((rule, i) => {
      const other = others[i]
      return other !== undefined && a.textOf(rule) === b.textOf(other)
    })
  return a.trustDomain === b.trustDomain && isSameList(a.exports, b.exports) && isSameList(a.accepts, b.accepts)
}

type ChangeParts = Omit<GrantChange, "audience" | "mode">

function changesIn(mode: TokenMode, before: AudienceRules, after: AudienceRules): readonly ChangeParts[] {
  const [old, next] = [ofMode(mode, before), ofMode(mode, after)]
  const everyRule = [...old.exports, ...old.accepts, ...next.exports, ...next.accepts]
  const patterns = everyRule.flatMap((rule) => rule.subjects)
  if (mode === "self") patterns.push(...everyRule.flatMap((rule) => rule.clients?.patterns ?? []))
  const [oldSubjects, nextSubjects] = [finderOf(old), finderOf(next)]
  const groups = groupClasses(
    patterns,
    (subject) => {
      const [ofOld, ofNext] = [oldSubjects(subject), nextSubjects(subject)]
      return mode === "self"
        ? kindsOf(mode, subject, only(ofOld, "clients", subject), only(ofNext, "clients", subject))
        : clientsOf(mode, subject, ofOld, ofNext)
    },
    textOf,
  )
  return groups.flatMap(({ classes, found }) => found.map((change) => ({ ...change, subjects: classes })))
}

type PartsOf<Missing extends keyof ChangeParts> = Omit<ChangeParts, Missing>

function clientsOf(
  mode: TokenMode,
  subject: SpiffeId,
  before: AudienceRules,
  after: AudienceRules,
): readonly PartsOf<"subjects">[] {
  const groups = groupClasses(
    patternsIn("clients", before, after),
    (client) => {
      const [old, next] = [only(before, "clients", client), only(after, "clients", client)]
      return mode === "delegation" ? actorsOf(mode, subject, old, next) : kindsOf(mode, subject, old, next)
    },
    textOf,
  )
  return groups.flatMap(({ classes, found }) => found.map((change) => ({ ...change, clients: classes })))
}

function actorsOf(
  mode: TokenMode,
  subject: SpiffeId,
  before: AudienceRules,
  after: AudienceRules,
): readonly PartsOf<"subjects">[] {
  const groups = groupClasses(
    patternsIn("actors", before, after),
    (actor) => kindsOf(mode, subject, only(before, "actors", actor), only(after, "actors", actor)),
    textOf,
  )
  return groups.flatMap(({ classes, found }) => found.map((change) => ({ ...change, actors: classes })))
}

/** The changes for parties that are fixed. */
function kindsOf(
  mode: TokenMode,
  subject: SpiffeId,
  before: AudienceRules,
  after: AudienceRules,
): readonly PartsOf<"subjects">[] {
  if (areSame(before, after)) return []
  const changes = TOKEN_KINDS.flatMap((kind) => {
    const access = [before, after].map((rules) => {
      const isSvid = kind.product !== "access-token"
      if (isSvid && (mode === "delegation" || trustDomainOf(subject) !== rules.trustDomain)) return accessBy([], [])
      const accepts = rules.accepts.filter(
        ({ spec }) =>
          spec.products.includes(kind.product) &&
          spec.grants.includes(kind.grant) &&
          (spec.bindings.includes("none") || spec.bindings.includes(kind.binding)),
      )
      return accessBy(rules.exports, accepts)
    })
    const [old, next] = access
    if (old === undefined || next === undefined || isSameAccess(old, next)) return []
    return [{ kind, change: { before: old, after: next } }]
  })
  const groups = Map.groupBy(changes, ({ change }) => JSON.stringify(change))
  return [...groups.values()].flatMap((same) => {
    const [first] = same
    if (first === undefined) return []
    const boxes = joinKinds(same.map(({ kind }) => kind))
    return boxes.map((kinds) => ({ ...kinds, ...first.change, clients: undefined, actors: undefined }))
  })
}

function ofMode(mode: TokenMode, rules: AudienceRules): AudienceRules {
  return filtered(rules, ({ spec }) => spec.modes.includes(mode))
}

/** The rules whose clients, or actors, match. */
function only(rules: AudienceRules, party: "clients" | "actors", id: SpiffeId): AudienceRules {
  return filtered(rules, (rule) => rule[party]?.table.has(id) !== false)
}

function filtered(rules: AudienceRules, keep: (rule: AnyRule) => boolean): AudienceRules {
  return { ...rules, exports: rules.exports.filter(keep), accepts: rules.accepts.filter(keep) }
}

/** Finds the rules whose subject matches, in table order. */
function finderOf(rules: AudienceRules): (subject: SpiffeId) => AudienceRules {
  const exports = new IdTable<CompiledExport>()
  const accepts = new IdTable<CompiledAccept>()
  for (const rule of rules.exports) for (const pattern of rule.subjects) exports.add(pattern, rule)
  for (const rule of rules.accepts) for (const pattern of rule.subjects) accepts.add(pattern, rule)
  return (subject) => ({ ...rules, exports: inOrder(exports.find(subject)), accepts: inOrder(accepts.find(subject)) })
}

function inOrder<Rule extends { readonly ordinal: number }>(lists: readonly (readonly Rule[])[]): readonly Rule[] {
  return [...new Set(lists.flat())].sort((a, b) => a.ordinal - b.ordinal)
}

function patternsIn(party: "clients" | "actors", ...sides: readonly AudienceRules[]): readonly IdPattern[] {
  return sides.flatMap(({ exports, accepts }) =>
    [...exports, ...accepts].flatMap((rule) => rule[party]?.patterns ?? []),
  )
}

/** Empty for no change. */
function textOf(changes: readonly unknown[]): string {
  return changes.length === 0 ? "" : JSON.stringify(changes)
}
