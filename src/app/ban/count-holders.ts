import type { BanTarget } from "../../core/ban/ban.ts"
import { namedBy } from "../../core/ban/ban-index.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { HoldingsReader } from "../../ports/consumers.ts"

/** Who holds certificates that have not expired, which a ban does not take away from whoever does not listen. */
export interface HolderCount {
  readonly holders: number
  /** When the last of those certificates expires; `undefined`: there are none. */
  readonly lastExpiry: Instant | undefined
}

/** Of those whom `target` names; `undefined` when it is not known: by keys, and while the log cannot be asked. Bans never wait for it. @see BAN-14 */
export type CountHolders = (target: BanTarget) => Promise<HolderCount | undefined>

export function makeCountHolders(holdings: HoldingsReader, clock: Pick<Clock, "now">): CountHolders {
  return async (target) => {
    if (target.kind === "key") return undefined
    const isNamed = namedBy(target)
    try {
      const { held } = await holdings.readHoldings(clock.now())
      const found = held.filter(({ spiffeId, holder }) => isNamed({ ids: [spiffeId], places: [holder], keys: [] }))
      const lastExpiry = found.reduce((last, { notAfter }) => Math.max(last, notAfter), 0)
      return { holders: found.length, lastExpiry: found.length === 0 ? undefined : lastExpiry }
    } catch (thrown) {
      if (thrown instanceof IdentityError) return undefined
      throw thrown
    }
  }
}
