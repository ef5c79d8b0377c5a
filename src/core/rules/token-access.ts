import type { AcceptRuleSpec } from "./token-rule.ts"
import type { CompiledAccept, CompiledExport } from "./token-rule-table.ts"

/**
 * What can be had by one kind of question, that is with parties, mode, product, grant and binding fixed: by scopes asked for, and by
 * which conditions hold. Conditions are told apart by their text alone.
 */
export interface TokenAccess {
  /** One of these must hold, or it is empty: none need to. */
  readonly exportedWhen: readonly string[]
  /** In order: the first decides whose condition holds and whose scopes have all that were asked for. Empty: nothing can be had. */
  readonly entries: readonly AccessEntry[]
}

export interface AccessEntry
  extends Pick<AcceptRuleSpec, "when" | "scopes" | "defaultScopes" | "ttl" | "algorithm" | "mayOutliveSubject"> {}

/** The same access by other rules is the same value: order of scopes, names, and rules that never decide are not in it. */
export function accessBy(exports: readonly CompiledExport[], accepts: readonly CompiledAccept[]): TokenAccess {
  if (exports.length === 0 || accepts.length === 0) return NO_ACCESS
  const conditions = new Set(exports.map(({ spec }) => spec.when))
  const exportedWhen = conditions.has(undefined) ? [] : [...conditions].flatMap((text) => text ?? []).sort()
  const entries: AccessEntry[] = []
  for (const { spec } of accepts) {
    const { when, ttl, algorithm, mayOutliveSubject } = spec
    const isShadowed = entries.some((earlier) => holds(earlier.when, [when]) && isSubset(spec.scopes, earlier.scopes))
    if (isShadowed) continue
    const [scopes, defaultScopes] = [[...spec.scopes].sort(), [...spec.defaultScopes].sort()]
    entries.push({ when, scopes, defaultScopes, ttl, algorithm, mayOutliveSubject })
  }
  return { exportedWhen, entries }
}

/** Whether some request gets something else by the one than by the other. Exact, as far as conditions are independent. @see TPO-12 */
export function isSameAccess(a: TokenAccess, b: TokenAccess): boolean {
  return !witnesses(a, b).some(({ scopes, holding }) => {
    return outcomeOf(a, scopes, holding) !== outcomeOf(b, scopes, holding)
  })
}

/** A request that may tell two accesses apart. */
interface Witness {
  readonly scopes: readonly string[] | undefined
  readonly holding: readonly (string | undefined)[]
}

/**
 * If two accesses differ for some request, they differ for one of these. Take the entries that decide in each: as few conditions as
 * let these two decide, and as many scopes as both have, keep every other entry out that was out before.
 */
function witnesses(a: TokenAccess, b: TokenAccess): readonly Witness[] {
  const [ofA, ofB] = [choices(a), choices(b)]
  return ofA.flatMap((one) =>
    ofB.flatMap((other) => {
      const holding = [...one.holding, ...other.holding]
      const scopes =
        one.scopes === undefined || other.scopes === undefined
          ? (one.scopes ?? other.scopes)
          : one.scopes.filter((scope) => other.scopes?.includes(scope))
      return [
        { scopes: undefined, holding },
        { scopes, holding },
      ]
    }),
  )
}

/** Each way to get something, and the way to get nothing, which has no scopes of its own. */
function choices({ exportedWhen, entries }: TokenAccess): readonly Witness[] {
  const sources = exportedWhen.length === 0 ? [undefined] : exportedWhen
  const ways = entries.flatMap(({ when, scopes }) => sources.map((source) => ({ scopes, holding: [when, source] })))
  return [...ways, { scopes: undefined, holding: [] }]
}

function outcomeOf({ exportedWhen, entries }: TokenAccess, scopes: Witness["scopes"], holding: Witness["holding"]) {
  const isExported = exportedWhen.length === 0 || exportedWhen.some((text) => holds(text, holding))
  if (!isExported) return REFUSED
  const found = entries.find((entry) => holds(entry.when, holding) && isSubset(scopes ?? [], entry.scopes))
  if (found === undefined) return REFUSED
  const { defaultScopes, ttl, algorithm, mayOutliveSubject } = found
  return JSON.stringify([scopes ?? defaultScopes, ttl, algorithm, mayOutliveSubject])
}

function holds(condition: string | undefined, holding: readonly (string | undefined)[]): boolean {
  return condition === undefined || holding.includes(condition)
}

function isSubset(inner: readonly string[], outer: readonly string[]): boolean {
  return inner.every((item) => outer.includes(item))
}

export const NO_ACCESS: TokenAccess = { exportedWhen: [], entries: [] }
const REFUSED = "refused"
