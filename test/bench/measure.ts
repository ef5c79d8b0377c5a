/**
 * Run `task` for `seconds` with `inFlight` at a time; completions per second. As long a warm-up comes first: a server lives longer than
 * the few seconds in which its code is compiled, which would take a tenth of the time here.
 */
export async function perSecond(seconds: number, inFlight: number, task: () => Promise<void>): Promise<number> {
  await run(seconds, inFlight, task)
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
