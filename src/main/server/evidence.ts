import { setImmediate } from "node:timers/promises"
import { makeReadEvidence, type ReadEvidence } from "../../app/rotate/read-evidence.ts"
import { serverId } from "../../core/spiffe/id.ts"
import type { Seconds } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { ServerConfig } from "../config/server-config.ts"
import type { Pipeline } from "./pipeline.ts"
import { longestLife } from "./rotation-terms.ts"
import type { ServerState } from "./state.ts"

/** What this process knows of consumers, with itself as the one replica. */
export function openEvidence(
  pipeline: Pipeline,
  { store }: Pick<ServerState, "store">,
  clock: Clock,
  config: () => ServerConfig,
): ReadEvidence {
  const { trust, issuing, subscribers, consumers } = pipeline
  const common = {
    holdings: store.holdings,
    subscribers,
    book: consumers,
    clock,
    roots: () => trust.record().roots,
    tokenKeys: () => trust.record().jwtKeys.map(({ kid }) => kid),
    replicas: () => {
      const { epoch } = trust.snapshot()
      return [{ id: "server", epoch, signsWith: issuing.signsWith(), leaseUntil: clock.now() + OWN_LEASE }]
    },
    turn: () => setImmediate(),
    ownId: serverId(trust.record().trustDomain),
  }
  return () => {
    const { restoredAt } = trust.record()
    const unloggedUntil = restoredAt === undefined ? 0 : restoredAt + longestLife(config())
    return makeReadEvidence({ ...common, skew: config().rotation.skew, unloggedUntil })()
  }
}

/** Whoever asks lives. */
const OWN_LEASE: Seconds = 10
