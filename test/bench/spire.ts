import { type LoadResult, runLoad } from "../support/peers/load.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { startSpire } from "../support/peers/spire.ts"
import { warmUpOf } from "./measure.ts"
import { checked } from "./wire.ts"

/** What SPIRE's server does with the same client on the same machine. */
export interface SpireRates {
  readonly sixtyFour: LoadResult
  /** 64 certificates in flight, in batches of 16. */
  readonly batch: LoadResult
}

/** @returns `undefined` on a machine without Go, where there is no SPIRE to be had */
export async function measureSpire(seconds: number): Promise<SpireRates | undefined> {
  if ((await skipWithout("spire")) !== false) return undefined
  await using spire = await startSpire()
  const run = async (inFlight: number, batch: number) => {
    const { joinToken, entry } = await spire.makeAgent()
    const flags = { target: spire.address, ca: spire.ca, "join-token": joinToken, entry, batch, "in-flight": inFlight }
    const time = { duration: `${seconds}s`, warmup: `${warmUpOf(seconds)}s`, conns: 4 }
    return checked(await runLoad("spire", { ...flags, ...time }, 180_000))
  }
  return { sixtyFour: await run(64, 1), batch: await run(4, 16) }
}
