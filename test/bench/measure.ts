import type { Span } from "./rounds.ts"

/** Run `task` for a span with `inFlight` at a time; completions per second. */
export async function perSecond(
  { seconds, warmUp }: Span,
  inFlight: number,
  task: () => Promise<void>,
): Promise<number> {
  await run(warmUp, inFlight, task)
  const started = performance.now()
  const done = await run(seconds, inFlight, task)
  return (done * 1000) / (performance.now() - started)
}

async function run(seconds: number, inFlight: number, task: () => Promise<void>): Promise<number> {
  const until = performance.now() + seconds * 1000
  let done = 0
  const lane = async () => {
    while (performance.now() < until) {
      await task()
      done++
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  return done
}
