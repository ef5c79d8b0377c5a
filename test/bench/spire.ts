import type { LoadResult } from "../support/peers/load.ts"
import { startSpire } from "../support/peers/spire.ts"
import { measureLoad } from "./measure-load.ts"
import type { Span } from "./rounds.ts"

/** SPIRE's server, by the same client on the same machine. */
export interface SpireTasks extends AsyncDisposable {
  readonly sixtyFour: (span: Span) => Promise<LoadResult>
  /** 64 certificates in flight, in batches of 16. */
  readonly batch: (span: Span) => Promise<LoadResult>
}

export async function openSpireTasks(): Promise<SpireTasks> {
  const spire = await startSpire()
  const run = (inFlight: number, batch: number) => async (span: Span) => {
    const { joinToken, entry } = await spire.makeAgent()
    const flags = { target: spire.address, ca: spire.ca, "join-token": joinToken, entry, conns: 4 }
    return measureLoad("spire", { ...flags, batch, "in-flight": inFlight }, span)
  }
  return {
    sixtyFour: run(64, 1),
    batch: run(4, 16),
    [Symbol.asyncDispose]: () => spire[Symbol.asyncDispose](),
  }
}
