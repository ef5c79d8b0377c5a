/** Run `task` for `seconds` with `inFlight` at a time, after a warm-up; completions per second. */
export async function perSecond(seconds: number, inFlight: number, task: () => Promise<void>): Promise<number> {
  await run(warmUpOf(seconds), inFlight, task)
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

/**
 * How long to warm up before `seconds` are measured: as long again, since a server lives longer than the few seconds in which its code is
 * compiled, which would take a tenth of the time here. A run that is to end soon has no time for that.
 */
export function warmUpOf(seconds: number): number {
  return seconds < 1 ? seconds / 4 : seconds
}
