import type { AgentFacts, makeAgentMetrics } from "../adapters/metrics/agent-registry.ts"
import type { HeldSvid, IdentityState } from "../app/deliver/identity-source.ts"
import type { Instant } from "../core/time.ts"
import type { SdsMetrics } from "../transports/sds/sds-events.ts"

/** What the gauges show of a state. */
export function agentFacts(state: IdentityState, now: Instant): AgentFacts {
  if (state.kind !== "ready") return { ready: false, identities: 0, epoch: 0, firstNotAfter: 0, leastLifeLeft: 1 }
  const { svids, snapshot } = state.view
  return {
    ready: true,
    identities: svids.length,
    epoch: snapshot.epoch,
    firstNotAfter: Math.min(...svids.map(({ notAfter }) => notAfter)),
    leastLifeLeft: Math.min(...svids.map((svid) => lifeLeft(svid, now))),
  }
}

/** As a share of what it had when it came. */
function lifeLeft({ notAfter, life = 0 }: HeldSvid, now: Instant): number {
  return life <= 0 ? 0 : Math.min(1, Math.max(0, (notAfter - now) / life))
}

export interface AgentMetrics {
  readonly sds: SdsMetrics
  /** The bundle does not verify the root that a rotation brings in. */
  readonly trustProbeFailed: () => void
  /** Prometheus text; `undefined` when nobody can ask for it. */
  readonly text: (() => Promise<string>) | undefined
}

/** The library is loaded only where there is an address to serve it on: it is a tenth of what an agent needs at rest. */
export async function openAgentMetrics(
  served: boolean,
  facts: () => AgentFacts,
  insecure: boolean,
): Promise<AgentMetrics> {
  if (!served) return { sds: UNCOUNTED, trustProbeFailed: () => undefined, text: undefined }
  const { makeAgentMetrics } = await import("../adapters/metrics/agent-registry.ts")
  const metrics = makeAgentMetrics(facts, insecure)
  return {
    sds: sdsMetrics(metrics),
    trustProbeFailed: () => metrics.trustProbeFailed.inc(),
    text: () => metrics.registry.metrics(),
  }
}

function sdsMetrics(metrics: ReturnType<typeof makeAgentMetrics>): SdsMetrics {
  return {
    streams: (door, change) => metrics.sdsStreams.inc({ door }, change),
    pushed: (door) => metrics.sdsPushes.inc({ door }),
    answered: (door, outcome) => metrics.sdsAnswers.inc({ door, outcome }),
  }
}

const UNCOUNTED: SdsMetrics = { streams: () => undefined, pushed: () => undefined, answered: () => undefined }
