/** Requests one after another in several lanes until it is disposed of, and what came back. */
export interface RequestLoop extends AsyncDisposable {
  readonly succeeded: number
  /** Status and body, or error, of everything but a 200; the first hundred. */
  readonly failures: readonly string[]
  /** The different bodies of replies with status 200. */
  readonly bodies: ReadonlySet<string>
}

export function openRequestLoop(url: string, lanes: number): RequestLoop {
  const failures: string[] = []
  const bodies = new Set<string>()
  let succeeded = 0
  let stopped = false
  const once = async () => {
    const reply = await fetch(url, { signal: AbortSignal.timeout(REQUEST_MILLIS) })
    const body = await reply.text()
    if (reply.status !== 200) throw new Error(`${reply.status} ${body}`)
    bodies.add(body)
    succeeded += 1
  }
  const lane = async () => {
    while (!stopped) {
      await once().catch((failure: unknown) => failures.length < MAX_FAILURES && failures.push(String(failure)))
    }
  }
  const running = Promise.all(Array.from({ length: lanes }, lane))
  return {
    get succeeded() {
      return succeeded
    },
    failures,
    bodies,
    async [Symbol.asyncDispose]() {
      stopped = true
      await running
    },
  }
}

const REQUEST_MILLIS = 30_000
const MAX_FAILURES = 100
