import type { ServerMetrics } from "../../adapters/metrics/registry.ts"
import { liveConsumers } from "../../app/deliver/live-consumers.ts"
import type { Pipeline } from "./pipeline.ts"

/** Set the gauges of consumers to what is known now. Looks at streams only, so that a scrape costs no search. */
export function measureConsumers(metrics: ServerMetrics, { subscribers, consumers, trust }: Pipeline): void {
  const { epoch } = trust.snapshot()
  for (const gauge of [metrics.consumersLive, metrics.consumersBehind, metrics.consumersRefusing]) gauge.reset()
  for (const { row } of liveConsumers(subscribers.rows, consumers).values()) {
    const { kind, grade, nackReason } = row
    metrics.consumersLive.inc({ kind, grade })
    if (row.epoch !== epoch) metrics.consumersBehind.inc({ kind })
    if (nackReason !== undefined) metrics.consumersRefusing.inc({ kind })
  }
  metrics.consumersGone.set(consumers.gone.length)
}
