/** Run `task` for `seconds` with `inFlight` at a time, after a short warm-up; completions per second. */
export async function perSecond(seconds: number, inFlight: number, task: () => Promise<void>): Promise<number> {
  await run(seconds / 4, inFlight, task)
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
