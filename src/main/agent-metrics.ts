import type { AgentFacts, makeAgentMetrics } from "../adapters/metrics/agent-registry.ts"
import type { IdentityState } from "../app/deliver/identity-source.ts"
import type { SdsMetrics } from "../transports/sds/sds-events.ts"

/** What the gauges show of a state. */
export function agentFacts(state: IdentityState): AgentFacts {
  if (state.kind !== "ready") return { ready: false, identities: 0, epoch: 0, firstNotAfter: 0 }
  const { svids, snapshot } = state.view
  return {
    ready: true,
    identities: svids.length,
    epoch: snapshot.epoch,
    firstNotAfter: Math.min(...svids.map(({ notAfter }) => notAfter)),
  }
}

export function sdsMetrics(metrics: ReturnType<typeof makeAgentMetrics>): SdsMetrics {
  return {
    streams: (door, change) => metrics.sdsStreams.inc({ door }, change),
    pushed: (door) => metrics.sdsPushes.inc({ door }),
    answered: (door, outcome) => metrics.sdsAnswers.inc({ door, outcome }),
  }
}
