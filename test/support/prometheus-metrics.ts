import type { Registry } from "prom-client"
import { makeAgentMetrics } from "../../src/adapters/metrics/agent-registry.ts"
import { makeServerMetrics } from "../../src/adapters/metrics/registry.ts"

/** The labels of every metric of ours as Prometheus stores them, by name; a histogram is three. */
export function scrapedMetrics(): ReadonlyMap<string, ReadonlySet<string>> {
  const facts = { ready: false, identities: 0, epoch: 0, firstNotAfter: 0, leastLifeLeft: 1 }
  const registries = [makeServerMetrics().registry, makeAgentMetrics(() => facts, false).registry]
  return new Map(registries.flatMap((registry) => seriesOf(registry)))
}

/** What Prometheus itself adds to every series. */
export const TARGET_LABELS: readonly string[] = ["job", "instance"]

function seriesOf(registry: Registry): readonly (readonly [string, ReadonlySet<string>])[] {
  return registry.getMetricsAsArray().flatMap((metric) => {
    const { name } = metric
    const own = "labelNames" in metric && Array.isArray(metric.labelNames) ? metric.labelNames.map(String) : []
    const labels = new Set([...own, ...TARGET_LABELS])
    if (metric.constructor.name !== "Histogram") return [[name, labels] as const]
    return [
      [`${name}_bucket`, new Set([...labels, "le"])] as const,
      [`${name}_sum`, labels] as const,
      [`${name}_count`, labels] as const,
    ]
  })
}

/** A metric that an expression reads, with the names of the labels that it asks for. */
export interface Selector {
  readonly metric: string
  readonly labels: readonly string[]
}

/** The metrics of ours in an expression. Good for our own expressions; Prometheus's reader is asked by another test. */
export function selectorsOf(expression: string): readonly Selector[] {
  return [...expression.matchAll(/\b(assay_\w+)(?:\{([^}]*)\})?/g)].map(([, metric = "", inner = ""]) => ({
    metric,
    labels: [...inner.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = ""]) => label),
  }))
}
