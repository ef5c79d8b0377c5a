import type { BanTarget } from "../../core/ban/ban.ts"
import { namedBy } from "../../core/ban/ban-index.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { HolderCount, HolderCounter, KeyHolderReader } from "../../ports/consumers.ts"
import { isOneOf } from "./key-holders.ts"
import type { LiveStreams } from "./live-streams.ts"

/** Whom a ban names. `undefined` while the issuance log cannot be asked. */
export interface NamedCount {
  /** Live streams of this process, at the time of the call; of a key, of those who hold it. */
  readonly streams: number | undefined
  readonly holders: HolderCount | undefined
}

/** Bans never wait for it. @see BAN-14 */
export type CountNamed = (target: BanTarget) => Promise<NamedCount>

export interface CountNamedDeps {
  readonly holdings: HolderCounter & KeyHolderReader
  readonly streams: Pick<LiveStreams, "count">
  readonly clock: Pick<Clock, "now">
}

export function makeCountNamed({ holdings, streams, clock }: CountNamedDeps): CountNamed {
  return async (target) => {
    if (target.kind === "key") {
      const found = await readable(() => holdings.readKeyHolders([target.spkiSha256], clock.now()))
      return { streams: found && streams.count(isOneOf(found)), holders: found && sumUp(found) }
    }
    const counted = streams.count(namedBy(target))
    return { streams: counted, holders: await readable(() => holdings.countHolders(target, clock.now())) }
  }
}

function sumUp(found: readonly { readonly notAfter: Instant }[]): HolderCount {
  const lastExpiry = found.reduce((last, { notAfter }) => Math.max(last, notAfter), 0)
  return { holders: found.length, lastExpiry: found.length === 0 ? undefined : lastExpiry }
}

async function readable<Found>(read: () => Promise<Found>): Promise<Found | undefined> {
  try {
    return await read()
  } catch (thrown) {
    if (thrown instanceof IdentityError) return undefined
    throw thrown
  }
}
