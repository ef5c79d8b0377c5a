import { makeCountNamed } from "../../app/ban/count-named.ts"
import { makeAddBan, makeLiftBan, makeListBans } from "../../app/ban/manage-bans.ts"
import type { BanUses } from "../../transports/admin/ban-operations.ts"
import { makeServerEvents } from "../server-events.ts"
import type { AdminDeps } from "./admin.ts"

/** What operators can do about bans. */
export function makeBanUses({
  pipeline,
  state,
  clock,
  log,
  metrics,
}: Pick<AdminDeps, "pipeline" | "state" | "clock" | "log" | "metrics">): BanUses {
  const { bans, liveStreams } = pipeline
  const deps = { bans, clock, events: makeServerEvents(log, metrics).bans }
  return {
    list: makeListBans(deps),
    find: (target) => bans.find(target),
    countNamed: makeCountNamed({ holdings: state.store.holdings, streams: liveStreams, clock }),
    countLate: (recorded) => liveStreams.late(recorded),
    add: makeAddBan(deps),
    lift: makeLiftBan(deps),
    now: () => clock.now(),
    trustDomain: pipeline.trust.record().trustDomain,
  }
}
