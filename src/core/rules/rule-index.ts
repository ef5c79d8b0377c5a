import type { CompiledRule } from "./rule-table.ts"

/** The claims that rules are indexed by. */
export interface IndexKey {
  readonly cluster: string
  readonly namespace: string
  readonly serviceAccount: string
}

/**
 * Finds the rules whose exact fields match. A look-up asks one bucket for each combination of exact fields, eight at most, so
 * it costs the same for ten rules and for ten thousand; combinations that no rule has are not asked for. @see RUL-10
 */
export interface RuleIndex {
  /** In table order. */
  candidates(key: IndexKey): readonly CompiledRule[]
  /** A rule that has most in common with the key though its exact fields do not match; for explaining a refusal. */
  nearest(key: IndexKey): CompiledRule | undefined
  /** Size of the largest bucket, which bounds what one look-up can return by eight times as much. */
  readonly largestBucket: number
}

/** How many buckets a rule stands in: one for each combination of its listed values. */
export function bucketsOf({ spec }: Pick<CompiledRule, "spec">): number {
  return (spec.clusters?.length ?? 1) * (spec.namespaces?.length ?? 1) * (spec.serviceAccounts?.length ?? 1)
}

export function buildRuleIndex(rules: readonly CompiledRule[]): RuleIndex {
  const buckets = new Map<string, CompiledRule[]>()
  const partial = new Map<string, CompiledRule>()
  for (const rule of rules) {
    for (const key of bucketKeys(rule)) {
      const bucket = buckets.get(key)
      if (bucket === undefined) buckets.set(key, [rule])
      else bucket.push(rule)
    }
    for (const key of partialKeys(rule)) if (!partial.has(key)) partial.set(key, rule)
  }
  const shapes = SHAPES.filter((shape) => rules.some(({ spec }) => hasShape(spec, shape)))
  return {
    candidates: (key) => lookUp(buckets, shapes, key),
    nearest: (key) => nearestRule(partial, rules, key),
    largestBucket: largest(buckets),
  }
}

function largest(buckets: ReadonlyMap<string, readonly CompiledRule[]>): number {
  let most = 0
  for (const { length } of buckets.values()) most = Math.max(most, length)
  return most
}

function lookUp(
  buckets: ReadonlyMap<string, readonly CompiledRule[]>,
  shapes: readonly Shape[],
  key: IndexKey,
): readonly CompiledRule[] {
  const found: CompiledRule[] = []
  for (const { cluster, namespace, serviceAccount } of shapes) {
    const bucket = buckets.get(
      join(cluster ? key.cluster : ANY, namespace ? key.namespace : ANY, serviceAccount ? key.serviceAccount : ANY),
    )
    if (bucket !== undefined) found.push(...bucket)
  }
  return found.length < 2 ? found : found.sort((a, b) => a.ordinal - b.ordinal)
}

/** Which fields a rule lists values of. */
interface Shape {
  readonly cluster: boolean
  readonly namespace: boolean
  readonly serviceAccount: boolean
}

function hasShape(spec: CompiledRule["spec"], { cluster, namespace, serviceAccount }: Shape): boolean {
  return (
    cluster === (spec.clusters !== undefined) &&
    namespace === (spec.namespaces !== undefined) &&
    serviceAccount === (spec.serviceAccounts !== undefined)
  )
}

function* bucketKeys({ spec }: CompiledRule): Generator<string> {
  for (const cluster of spec.clusters ?? [ANY]) {
    for (const namespace of spec.namespaces ?? [ANY]) {
      for (const serviceAccount of spec.serviceAccounts ?? [ANY]) yield join(cluster, namespace, serviceAccount)
    }
  }
}

/** A caller in the right namespace is nearer than one with the right account name, and that nearer than the cluster. */
function nearestRule(
  partial: ReadonlyMap<string, CompiledRule>,
  rules: readonly CompiledRule[],
  key: IndexKey,
): CompiledRule | undefined {
  return (
    partial.get(`namespace:${key.namespace}`) ??
    partial.get(`service_account:${key.serviceAccount}`) ??
    partial.get(`cluster:${key.cluster}`) ??
    rules[0]
  )
}

function* partialKeys({ spec }: CompiledRule): Generator<string> {
  for (const namespace of spec.namespaces ?? []) yield `namespace:${namespace}`
  for (const serviceAccount of spec.serviceAccounts ?? []) yield `service_account:${serviceAccount}`
  for (const cluster of spec.clusters ?? []) yield `cluster:${cluster}`
}

function join(cluster: string, namespace: string, serviceAccount: string): string {
  return `${cluster}\n${namespace}\n${serviceAccount}`
}

/** No claim is empty. */
const ANY = ""
const BOTH = [true, false]
const SHAPES: readonly Shape[] = BOTH.flatMap((cluster) =>
  BOTH.flatMap((namespace) => BOTH.map((serviceAccount) => ({ cluster, namespace, serviceAccount }))),
)
