import { type LoadFlags, type LoadMode, type LoadResult, runLoad } from "../support/peers/load.ts"
import type { Span } from "./rounds.ts"

/** What the compiled client does in a span. @throws Error when any request failed: a figure with errors in it is none */
export async function measureLoad(mode: LoadMode, flags: LoadFlags, { seconds, warmUp }: Span): Promise<LoadResult> {
  const time = { duration: `${seconds}s`, warmup: `${warmUp}s` }
  const result = await runLoad(mode, { ...flags, ...time }, LIMIT)
  if (result.errors > 0) throw new Error(`load: ${result.errors} errors, first: ${result.firstError}`)
  if (result.count === 0) throw new Error("load: nothing was issued")
  return result
}

/** Milliseconds, keys made ahead included. */
const LIMIT = 180_000
