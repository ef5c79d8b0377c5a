import type { ServerMetrics } from "../../adapters/metrics/registry.ts"
import { liveConsumers } from "../../app/deliver/live-consumers.ts"
import type { ConsumerRow } from "../../core/authority/evidence.ts"
import type { Pipeline } from "./pipeline.ts"

/** Set the gauges of consumers to what is known now. Looks at streams only, so that a scrape costs no search. */
export function measureConsumers(metrics: ServerMetrics, { subscribers, consumers, trust }: Pipeline): void {
  const { epoch } = trust.snapshot()
  metrics.consumersLive.reset()
  // Nobody is 0, and not nothing: what is added to it would be nothing as well. @see MET-06
  for (const kind of KINDS)
    for (const gauge of [metrics.consumersBehind, metrics.consumersRefusing]) gauge.set({ kind }, 0)
  for (const { row } of liveConsumers(subscribers.rows, consumers).values()) {
    const { kind, grade, nackReason } = row
    metrics.consumersLive.inc({ kind, grade })
    if (row.epoch !== epoch) metrics.consumersBehind.inc({ kind })
    if (nackReason !== undefined) metrics.consumersRefusing.inc({ kind })
  }
  metrics.consumersGone.set(consumers.gone.length)
}

const KINDS: readonly ConsumerRow["kind"][] = ["sds", "workload-api", "file", "agent"]
