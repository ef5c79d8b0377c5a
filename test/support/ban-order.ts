import type { BanView } from "../../src/app/ban/ban-view.ts"
import { type BanKind, parseBanTarget } from "../../src/core/ban/ban.ts"
import type { Clock } from "../../src/ports/clock.ts"

/** Ban and lift by name, as an operator does, without the use cases around it. */
export function banishing(bans: BanView, clock: Pick<Clock, "now">) {
  const common = () => ({ at: clock.now(), actor: "test", requestId: "ban" })
  return {
    ban: (kind: BanKind, name: string, until?: number) => {
      const ban = { target: parseBanTarget(kind, name), reason: "test", actor: "test", createdAt: clock.now(), until }
      const named = { ban: kind, name, reason: "test", until: until ?? 0 }
      return bans.add(ban, { type: "ban.added", ...common(), ...named })
    },
    lift: (kind: BanKind, name: string) =>
      bans.lift(parseBanTarget(kind, name), clock.now(), {
        type: "ban.lifted",
        ...common(),
        ban: kind,
        name,
        reason: "test",
      }),
  }
}
